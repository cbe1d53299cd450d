import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own clients behind a line protocol, run by the source launcher: `java -cp 'lib/*' Judge.java HOST:PORT`.
 *
 * Questions come on standard input, one a line; an answer is lines that end with a lone full stop; a line that begins
 * with an exclamation mark is a failure. Records are lines as test/support/kafka-record.ts writes them.
 */
public class Judge {
  private static final HexFormat HEX = HexFormat.of();
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  private final String bootstrap;
  private final BufferedReader in;
  private int transactions = 0;
  /** Transactions that were left open. */
  private int left = 0;

  private Judge(String bootstrap, BufferedReader in) {
    this.bootstrap = bootstrap;
    this.in = in;
  }

  public static void main(String[] args) throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
    Judge judge = new Judge(args[0], in);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      try {
        judge.answer(line.split(" "));
        OUT.println(".");
      } catch (Exception error) {
        error.printStackTrace();
        OUT.println("!" + error.toString().replace('\n', ' '));
      }
      OUT.flush();
    }
  }

  private void answer(String[] words) throws Exception {
    switch (words[0]) {
      case "ready" -> ready();
      case "create" -> create(words[1], Integer.parseInt(words[2]), words[3]);
      case "produce" -> produce(place(words), words[3], words[4], words[5], Integer.parseInt(words[6]));
      case "consume" -> consume(place(words), words[3], words[4].equals("list"));
      case "offsets" -> offsets(place(words));
      case "delete" -> deleteBefore(place(words), Long.parseLong(words[3]));
      case "commit" -> commit(words[3], place(words), Long.parseLong(words[4]));
      case "stable" -> stable(place(words));
      case "producers" -> producers(place(words));
      case "time" -> time(place(words), Long.parseLong(words[3]));
      default -> throw new IllegalArgumentException("unknown question " + words[0]);
    }
  }

  private static TopicPartition place(String[] words) {
    return new TopicPartition(words[1], Integer.parseInt(words[2]));
  }

  private void ready() throws Exception {
    try (Admin admin = Admin.create(properties())) {
      while (admin.describeCluster().nodes().get().isEmpty()) Thread.sleep(50);
    }
  }

  private void create(String topic, int partitions, String config) throws Exception {
    Map<String, String> configs = new HashMap<>();
    if (!config.equals("-")) {
      for (String pair : config.split(",")) configs.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
    }
    try (Admin admin = Admin.create(properties())) {
      NewTopic wanted = new NewTopic(topic, Optional.of(partitions), Optional.of((short) 1)).configs(configs);
      OUT.println(admin.createTopics(List.of(wanted)).topicId(topic).get());
    }
  }

  private void deleteBefore(TopicPartition place, long offset) throws Exception {
    try (Admin admin = Admin.create(properties())) {
      admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset))).all().get();
    }
  }

  /** What a group has committed stands in __consumer_offsets, whoever writes it. */
  private void commit(String group, TopicPartition place, long offset) throws Exception {
    try (Admin admin = Admin.create(properties())) {
      admin.alterConsumerGroupOffsets(group, Map.of(place, new OffsetAndMetadata(offset))).all().get();
    }
  }

  private void produce(TopicPartition place, String codec, String mode, String batchBytes, int count) throws Exception {
    // Read first: a failure must not leave records behind that the next question would trip over.
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>(count);
    for (int i = 0; i < count; i++) records.add(parse(place, in.readLine().split(" ")));
    boolean transactional = mode.equals("commit") || mode.equals("abort") || mode.equals("open");
    Properties properties = properties();
    properties.put("compression.type", codec);
    properties.put("batch.size", batchBytes);
    properties.put("linger.ms", "20");
    properties.put("max.request.size", "16777216");
    properties.put("enable.idempotence", String.valueOf(!mode.equals("plain")));
    properties.put("acks", "all");
    if (transactional) properties.put("transactional.id", "judge-" + ProcessHandle.current().pid() + "-" + transactions++);
    if (mode.equals("open")) properties.put("transaction.timeout.ms", "900000");
    KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    try {
      if (transactional) {
        producer.initTransactions();
        producer.beginTransaction();
      }
      List<Future<RecordMetadata>> sent = new ArrayList<>(count);
      for (ProducerRecord<byte[], byte[]> record : records) sent.add(producer.send(record));
      producer.flush();
      for (Future<RecordMetadata> one : sent) one.get();
      if (mode.equals("commit")) producer.commitTransaction();
      if (mode.equals("abort")) producer.abortTransaction();
    } finally {
      // In no time it does not end its transaction.
      if (mode.equals("open")) producer.close(Duration.ZERO);
      else producer.close();
    }
    if (mode.equals("open")) left++;
    else if (transactional) awaitDecision(place);
  }

  /** The coordinator decides first and writes the marker later: until then one transaction more is open. */
  private void awaitDecision(TopicPartition place) throws Exception {
    while (openTransactions(place) > left) Thread.sleep(10);
  }

  private long openTransactions(TopicPartition place) throws Exception {
    try (Admin admin = Admin.create(properties())) {
      return admin.describeProducers(List.of(place)).partitionResult(place).get().activeProducers().stream()
          .filter(one -> one.currentTransactionStartOffset().isPresent()).count();
    }
  }

  private void consume(TopicPartition place, String isolation, boolean withRecords) throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    long count = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(isolation)) {
      consumer.assign(List.of(place));
      consumer.seekToBeginning(List.of(place));
      long end = consumer.endOffsets(List.of(place)).get(place);
      while (consumer.position(place) < end) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
          String line = format(record);
          if (withRecords) OUT.println(line);
          digest.update((line + "\n").getBytes(StandardCharsets.UTF_8));
          count++;
        }
      }
    }
    OUT.println(count + " " + HEX.formatHex(digest.digest()));
  }

  private void offsets(TopicPartition place) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer("read_uncommitted")) {
      long start = consumer.beginningOffsets(List.of(place)).get(place);
      OUT.println(start + " " + consumer.endOffsets(List.of(place)).get(place));
    }
  }

  private void stable(TopicPartition place) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer("read_committed")) {
      OUT.println(consumer.endOffsets(List.of(place)).get(place));
    }
  }

  /** What the broker knows of each producer, by id. */
  private void producers(TopicPartition place) throws Exception {
    try (Admin admin = Admin.create(properties())) {
      admin.describeProducers(List.of(place)).partitionResult(place).get().activeProducers().stream()
          .sorted(Comparator.comparingLong(ProducerState::producerId))
          .map(one -> one.producerId() + " " + one.producerEpoch() + " " + one.lastSequence() + " " + one.lastTimestamp()
              + " " + one.coordinatorEpoch().orElse(-1) + " " + one.currentTransactionStartOffset().orElse(-1))
          .forEach(OUT::println);
    }
  }

  private void time(TopicPartition place, long time) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer("read_uncommitted")) {
      var found = consumer.offsetsForTimes(Map.of(place, time)).get(place);
      OUT.println(found == null ? -1 : found.offset());
    }
  }

  private KafkaConsumer<byte[], byte[]> consumer(String isolation) {
    Properties properties = properties();
    properties.put("isolation.level", isolation);
    properties.put("enable.auto.commit", "false");
    properties.put("check.crcs", "true");
    // A consumer that has reached the end is closed at once instead of waiting for more.
    properties.put("fetch.max.wait.ms", "10");
    properties.put("max.partition.fetch.bytes", "16777216");
    return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private Properties properties() {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    return properties;
  }

  private static ProducerRecord<byte[], byte[]> parse(TopicPartition place, String[] words) {
    List<Header> headers = new ArrayList<>();
    if (!words[3].equals("-")) {
      for (String pair : words[3].split(",")) {
        int middle = pair.indexOf('=');
        String name = new String(bytes(pair.substring(0, middle)), StandardCharsets.UTF_8);
        headers.add(new RecordHeader(name, bytes(pair.substring(middle + 1))));
      }
    }
    return new ProducerRecord<>(place.topic(), place.partition(), Long.parseLong(words[0]), bytes(words[1]), bytes(words[2]), headers);
  }

  private static String format(ConsumerRecord<byte[], byte[]> record) {
    StringBuilder headers = new StringBuilder();
    for (Header header : record.headers()) {
      if (headers.length() > 0) headers.append(',');
      headers.append(text(header.key().getBytes(StandardCharsets.UTF_8))).append('=').append(text(header.value()));
    }
    return record.offset() + " " + record.timestamp() + " " + text(record.key()) + " " + text(record.value()) + " "
        + (headers.length() == 0 ? "-" : headers);
  }

  private static byte[] bytes(String text) {
    return text.equals("-") ? null : HEX.parseHex(text.substring(1));
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "-" : "x" + HEX.formatHex(bytes);
  }
}

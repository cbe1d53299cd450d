import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/**
 * Kafka's own cleaner without a broker: `java -cp 'lib/*' Cleaner.java`.
 *
 * Each line of standard input is one round: the directory of a partition, the first dirty offset, the first uncleanable
 * one, the time that it is, and `delete.retention.ms`. The log is recovered, cleaned and closed. The answer is the end
 * of the round, or an exclamation mark and what went wrong.
 */
public class Cleaner {
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      try {
        OUT.println(clean(new File(words[0]), number(words[1]), number(words[2]), number(words[3]), words[4]));
      } catch (Exception error) {
        error.printStackTrace();
        OUT.println("!" + error.toString().replace('\n', ' '));
      }
    }
    System.exit(0);
  }

  private static long number(String word) {
    return Long.parseLong(word);
  }

  private static long clean(File directory, long dirty, long end, long now, String retention) throws Exception {
    KafkaScheduler scheduler = new KafkaScheduler(1);
    scheduler.startup();
    UnifiedLog log = open(directory, retention, scheduler);
    try {
      var cleaner = new org.apache.kafka.storage.internals.log.Cleaner(
          0, new SkimpyOffsetMap(1 << 20), 1 << 16, 1 << 20, 0.9,
          new Throttler(Double.MAX_VALUE, 300, "cleaner", "bytes", Time.SYSTEM), Time.SYSTEM, partition -> { });
      return cleaner.doClean(new LogToClean(log, dirty, end, true), now).getKey();
    } finally {
      log.close();
      scheduler.shutdown();
    }
  }

  private static UnifiedLog open(File directory, String retention, KafkaScheduler scheduler) throws IOException {
    Map<String, String> config = new HashMap<>();
    config.put("cleanup.policy", "compact");
    config.put("delete.retention.ms", retention);
    config.put("file.delete.delay.ms", "0");
    return UnifiedLog.create(
        directory, new LogConfig(config), 0, 0, scheduler, new BrokerTopicStats(), Time.SYSTEM, 900_000,
        new ProducerStateManagerConfig(Integer.MAX_VALUE, false), Integer.MAX_VALUE, new LogDirFailureChannel(1), false,
        Optional.empty());
  }
}

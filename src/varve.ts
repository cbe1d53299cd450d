/**
 * The package `varve`: its public names, one by one.
 */
import './base/node-version.ts'

export { bytes, json, msgpack, nullable, utf8 } from './base/codec.ts'
export { VarveError } from './base/errors.ts'
export { header } from './base/record-headers.ts'
export { defineTopic } from './metadata/define-topic.ts'
export { directoryTier } from './remote/directory-tier.ts'
export { openStore } from './store.ts'

export type { Diagnostics, EventChannels, TracingChannels } from './base/api-diagnostics.ts'
export type {
  Batch,
  DecodeOptions,
  From,
  KeyedPartition,
  LatestReader,
  LogMarks,
  LogPartition,
  Partition,
  PartitionMarks,
  Reader,
  ReadOptions,
  SegmentInfo,
  Until,
} from './base/api-read.ts'
export type {
  AppendOptions,
  Bytes,
  Durability,
  Expect,
  LiveRecord,
  LogRecord,
  NewHeaders,
  NewRecord,
  Positions,
  Receipt,
  RecordHeaders,
  Resource,
  Signal,
  Writer,
  WriterOptions,
} from './base/api-records.ts'
export type {
  Finding,
  LogStore,
  OpenOptions,
  ReadStore,
  RecoveryReport,
  RemoteStats,
  Store,
  StoreStats,
} from './base/api-store.ts'
export type {
  CleanReport,
  KeyedTopic,
  LogTopic,
  OffloadReport,
  RawLogTopic,
  RawTopic,
  ReadTopic,
  ResolvedTopicConfig,
  Topic,
  TopicConfig,
  TopicOptions,
} from './base/api-topic.ts'
export type { Clock } from './base/clock.ts'
export type { Codec, JsonOf } from './base/codec.ts'
export type { AnyVarveError, ErrorCode, ErrorDetails, ErrorKind, TopicPartition } from './base/errors.ts'
export type { FileSystem } from './base/file-system.ts'
export type { Random } from './base/random.ts'
export type { Tier, TierOptions } from './base/tier.ts'
export type { TopicDefinition } from './base/topic-definition.ts'
export type { Duration, Size } from './base/units.ts'
export type { DefinitionOptions } from './metadata/define-topic.ts'

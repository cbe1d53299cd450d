/**
 * Public types: what is published on channels of `node:diagnostics_channel`.
 *
 * Holds    A message names topics, counts and sizes, never keys or values.
 */
import type { Durability, Receipt } from './api-records.ts'
import type { RecoveryReport } from './api-store.ts'
import type { CleanReport } from './api-topic.ts'

/** The tracing channels: each carries this as the context of start, end, asyncStart, asyncEnd and error. */
export interface TracingChannels {
  /** One append call. */
  'varve:append': {
    readonly directory: string
    readonly topic: string
    readonly records: number
    readonly bytes: number
    readonly durability: Durability
    receipts?: readonly Receipt[]
    error?: unknown
  }
  /** One batch pulled, or one lookup. */
  'varve:read': {
    readonly directory: string
    readonly topic: string
    readonly partition: number | null
    readonly what: 'batch' | 'get' | 'at'
    tier?: 'memory' | 'local' | 'remote'
    records?: number
    bytes?: number
    error?: unknown
  }
  /** One partition that was cleaned, or could not be. */
  'varve:clean': {
    readonly directory: string
    readonly topic: string
    readonly partition: number
    readonly tier: 'local' | 'remote'
    report?: CleanReport
    error?: unknown
  }
  /** One try to bring a segment to the bucket. */
  'varve:offload': {
    readonly directory: string
    readonly what: 'segment' | 'tail' | 'cut'
    /** Its name in the bucket. */
    readonly object: string
    bytes?: number
    error?: unknown
  }
  /** One open. */
  'varve:recovery': { readonly directory: string; report?: RecoveryReport; error?: unknown }
}

/** The plain channels: one message per event. */
export interface EventChannels {
  /**
   * Something takes far longer than it should. `'cleaner'`: the store's background thread died, was silent for `ms` and
   * was ended, or cannot start; its work is done again, or without it. Nothing is lost by that.
   */
  'varve:stall': {
    readonly directory: string
    readonly what: 'sync' | 'queue' | 'local-full' | 'remote' | 'cleaner' | 'reader' | 'key-map-off'
    readonly topic: string | null
    readonly ms: number | null
  }
  /** A part of a directory of Kafka was taken over. Every byte is read twice. */
  'varve:adopt': {
    readonly directory: string
    readonly topic: string
    readonly partition: number
    /** Read so far, and to be read in all. */
    readonly bytes: number
    readonly ofBytes: number
  }
  /** A writer was shut out. */
  'varve:fenced': {
    readonly directory: string
    readonly what: 'store' | 'producer' | 'group'
    readonly id: string
    readonly epoch: number
  }
}

/** Every channel's name and payload. */
export interface Diagnostics extends TracingChannels, EventChannels {}

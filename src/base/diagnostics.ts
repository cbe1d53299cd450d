/**
 * What the store tells through `node:diagnostics_channel`.
 *
 * Owns     the channels. Payloads: `api-diagnostics.ts`. Nothing is logged; who subscribes decides.
 * Holds    Without a subscriber a hot path pays one property read.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { TracingChannel } from 'node:diagnostics_channel'
import type { EventChannels, TracingChannels } from './api-diagnostics.ts'

export const appendChannel: TracingChannel<unknown, TracingChannels['varve:append']> = tracingChannel('varve:append')
export const readChannel: TracingChannel<unknown, TracingChannels['varve:read']> = tracingChannel('varve:read')
export const recoveryChannel: TracingChannel<unknown, TracingChannels['varve:recovery']> =
  tracingChannel('varve:recovery')
export const cleanChannel: TracingChannel<unknown, TracingChannels['varve:clean']> = tracingChannel('varve:clean')
export const offloadChannel: TracingChannel<unknown, TracingChannels['varve:offload']> = tracingChannel('varve:offload')

const events = {
  'varve:stall': channel('varve:stall'),
  'varve:adopt': channel('varve:adopt'),
  'varve:fenced': channel('varve:fenced'),
}

/** Tells of an event that has just happened. */
export function publish<C extends keyof EventChannels>(name: C, message: EventChannels[C]): void {
  if (events[name].hasSubscribers) events[name].publish(message)
}

/** Runs `work` within a tracing channel when somebody listens. Its result is not told: it may hold keys and values. */
export function traced<T, M extends object>(
  channelOf: TracingChannel<unknown, M>,
  context: () => M,
  work: (message: M | undefined) => Promise<T>,
): Promise<T> {
  return channelOf.hasSubscribers ? told(channelOf, context(), work) : work(undefined)
}

async function told<T, M extends object>(
  channelOf: TracingChannel<unknown, M>,
  message: M,
  work: (message: M) => Promise<T>,
): Promise<T> {
  let result: { readonly of: T } | undefined
  await channelOf.tracePromise(async () => {
    result = { of: await work(message) }
  }, message)
  return result!.of
}

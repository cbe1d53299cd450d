/**
 * A bucket on Google Cloud Storage.
 *
 * Owns     the door's calls as requests to its JSON API.
 * Holds    Versions are generations, which never come again. Conditions and checksums go with every write. That an
 *          object is not there and that the bucket is not there are one status: the bucket is asked before one is taken
 *          for the other. A body that is read whole has the CRC-32C that comes with it.
 */
import { crc32c } from '../base/crc32c.ts'
import type { HttpAnswer } from '../base/node-http.ts'
import { checkObjectName } from '../base/object-name.ts'
import {
  ObjectStoreError,
  type CallOptions,
  type ListedObject,
  type ListOptions,
  type ObjectStat,
  type ObjectStore,
  type ObjectVersion,
  type ReadOptions,
  type ReadResult,
  type WriteOptions,
  type WriteResult,
} from '../base/object-store.ts'
import { checksumsOf, fromBase64, sizeOf, SourceFailed, type Body } from './body.ts'
import type { GcsClient } from './gcs-client.ts'
import { answeredError, notGcs } from './gcs-errors.ts'
import { upload } from './gcs-upload.ts'
import { truncated } from './response-body.ts'

const PAGE = 1000
const DELETES_AT_ONCE = 16
const NO_OBJECT = /^No such object/i
const GENERATION = /^\d{1,20}$/

type Query = { readonly [name: string]: string }

export class GcsObjectStore implements ObjectStore {
  readonly '~varve' = 'objectStore' as const
  readonly place: string
  readonly #client: GcsClient
  readonly #bucket: string
  /** Empty, or ends in `/`. */
  readonly #prefix: string

  constructor(client: GcsClient, bucket: string, prefix: string) {
    this.place = client.place
    this.#client = client
    this.#bucket = bucket
    this.#prefix = prefix
  }

  create(name: string, body: Body, options: WriteOptions): Promise<WriteResult> {
    return this.#write(name, body, '0', options)
  }

  async replace(name: string, body: Uint8Array, version: ObjectVersion, options: WriteOptions): Promise<WriteResult> {
    // What is no generation is nobody's version; and 0 would mean that there must be no object.
    if (GENERATION.test(version) && Number(version) > 0) return this.#write(name, body, version, options)
    await this.stat(name, options)
    return { kind: 'refused' }
  }

  async read(name: string, options: ReadOptions): Promise<ReadResult> {
    const { range, unlessVersion, signal } = options
    if (range !== undefined && range.start >= range.end) return this.#readNothing(name, range.start, options)
    const what = `reading '${name}'`
    const query = { alt: 'media', ...(unlessVersion === undefined ? {} : { ifGenerationNotMatch: unlessVersion }) }
    const headers = range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` }
    return this.#call(signal, async () => {
      const answer = await this.#get(`/o/${encodeURIComponent(this.#keyOf(name))}`, query, what, signal, headers)
      if (answer.status === 304) return this.#end(answer, { kind: 'unchanged' })
      if (answer.status === 404) return this.#absence(answer, what, signal, { kind: 'absent' } as const)
      if (answer.status !== 200 && answer.status !== 206) throw await this.#client.failed(answer, what, signal)
      const version = answer.headers['x-goog-generation']
      if (typeof version !== 'string') throw this.#end(answer, notGcs(this.place, what))
      if (version === unlessVersion) return this.#end(answer, { kind: 'unchanged' })
      return { kind: 'read', bytes: await this.#bodyOf(answer, range, what, signal), version }
    })
  }

  async stat(name: string, { signal }: CallOptions): Promise<ObjectStat | undefined> {
    const what = `looking up '${name}'`
    return this.#call(signal, async () => {
      const query = { fields: 'size,generation,crc32c' }
      const answer = await this.#get(`/o/${encodeURIComponent(this.#keyOf(name))}`, query, what, signal)
      if (answer.status === 404) return this.#absence(answer, what, signal, undefined)
      const { size, generation, crc32c } = await this.#metadata(answer, what, signal)
      return { name, size, version: generation, checksum: { crc32c } }
    })
  }

  async list(prefix: string, { signal, after, limit }: ListOptions): Promise<ListedObject[]> {
    const what = `listing '${prefix}'`
    // The offset itself is listed too.
    const more = after === undefined ? {} : { startOffset: this.#prefix + after }
    const count = Math.min(after === undefined ? limit : limit + 1, PAGE)
    const fields = 'kind,nextPageToken,items(name,size,updated)'
    const query: Query = { prefix: this.#prefix + prefix, maxResults: `${count}`, fields, ...more }
    return this.#call(signal, async () => {
      for (let token: string | undefined; ;) {
        const page = token === undefined ? query : { ...query, pageToken: token }
        const answer = await this.#get('/o', page, what, signal)
        if (answer.status !== 200) throw await this.#client.failed(answer, what, signal)
        const { items = [], nextPageToken, kind } = (await this.#client.json(answer, what, signal)) ?? {}
        if (kind !== 'storage#objects' || !Array.isArray(items)) throw notGcs(this.place, what)
        const listed = items.map((item) => this.#listed(item, what)).filter((item) => item.name !== after)
        if (listed.length > 0 || typeof nextPageToken !== 'string' || nextPageToken === '')
          return listed.slice(0, limit)
        token = nextPageToken
      }
    })
  }

  async delete(names: readonly string[], { signal }: CallOptions): Promise<ReadonlyMap<string, ObjectStoreError>> {
    const left = names.map((name) => ({ name, key: this.#keyOf(name) }))
    const failed = new Map<string, ObjectStoreError>()
    const work = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        try {
          await this.#deleteOne(next.key, `deleting '${next.name}'`, signal)
        } catch (error) {
          if (!(error instanceof ObjectStoreError) || error.failure === 'no-bucket') throw error
          failed.set(next.name, error)
        }
      }
    }
    return this.#call(signal, async () => {
      await Promise.all(Array.from({ length: Math.min(DELETES_AT_ONCE, left.length) }, work))
      return failed
    })
  }

  async #write(name: string, body: Body, generation: string, options: WriteOptions): Promise<WriteResult> {
    const { signal, checksum = {} } = options
    const what = `writing '${name}'`
    const target = { client: this.#client, bucket: this.#bucket, key: this.#keyOf(name), generation }
    return this.#call(signal, async () => {
      const crc32c = checksum.crc32c ?? (await checksumsOf(body, checksum, name)).crc32c
      const answer = await upload(target, body, crc32c, what, signal)
      if (answer.status === 412) return this.#end(answer, { kind: 'refused' })
      const { size, generation: version, crc32c: stored } = await this.#metadata(answer, what, signal)
      if (size === sizeOf(body) && (stored ?? crc32c) === crc32c) return { kind: 'written', version }
      throw new ObjectStoreError('checksum', `${this.place}: ${what} stored other bytes than were sent.`, 'indefinite')
    })
  }

  async #deleteOne(key: string, what: string, signal: AbortSignal): Promise<void> {
    const to = this.#at(`/o/${encodeURIComponent(key)}`, {})
    const answer = await this.#client.send({ method: 'DELETE', to, signal }, what)
    if (answer.status === 404) return this.#absence(answer, what, signal, undefined)
    if (answer.status !== 204 && answer.status !== 200) throw await this.#client.failed(answer, what, signal)
    answer.body.destroy()
  }

  /** Of an empty range there is no request. */
  async #readNothing(name: string, start: number, options: ReadOptions): Promise<ReadResult> {
    const stat = await this.stat(name, options)
    if (stat === undefined) return { kind: 'absent' }
    if (stat.version === options.unlessVersion) return { kind: 'unchanged' }
    if (start > stat.size) throw truncated(`${this.place}: reading '${name}'`, `${stat.size} bytes long`)
    return { kind: 'read', bytes: new Uint8Array(0), version: stat.version }
  }

  async #bodyOf(
    answer: HttpAnswer,
    range: ReadOptions['range'],
    what: string,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (range !== undefined) {
      const given = `${answer.headers['content-range']}`
      const isAsked = answer.status === 206 && given.startsWith(`bytes ${range.start}-${range.end - 1}/`)
      if (isAsked) return this.#client.read(answer, range.end - range.start, what, signal)
      throw this.#end(
        answer,
        truncated(`${this.place}: ${what}`, `${given} instead of ${range.start}-${range.end - 1}`),
      )
    }
    const length = Number(answer.headers['content-length'] ?? NaN)
    const bytes = await this.#client.read(answer, Number.isSafeInteger(length) ? length : undefined, what, signal)
    const expected = fromBase64(/crc32c=([\w+/=]+)/.exec(`${answer.headers['x-goog-hash']}`)?.[1])
    if (expected === undefined || expected === crc32c(bytes, 0, bytes.length)) return bytes
    throw new ObjectStoreError('checksum', `${this.place}: ${what} gave other bytes than were written.`, 'definite')
  }

  async #metadata(
    answer: HttpAnswer,
    what: string,
    signal: AbortSignal,
  ): Promise<{ size: number; generation: ObjectVersion; crc32c: number | undefined }> {
    if (answer.status !== 200) throw await this.#client.failed(answer, what, signal)
    const { size, generation, crc32c } = (await this.#client.json(answer, what, signal)) ?? {}
    const isSound = Number.isSafeInteger(Number(size ?? NaN)) && GENERATION.test(String(generation))
    if (!isSound) throw notGcs(this.place, what)
    return { size: Number(size), generation: String(generation), crc32c: fromBase64(crc32c) }
  }

  /** Answers `absent` when it is the object that is not there, and throws when it may be the bucket. */
  async #absence<T>(answer: HttpAnswer, what: string, signal: AbortSignal, absent: T): Promise<T> {
    const fault = await this.#client.fault(answer, what, signal)
    if (NO_OBJECT.test(fault.message)) return absent
    const listing = await this.#get('/o', { maxResults: '1', fields: 'kind' }, what, signal)
    if (listing.status !== 200) throw await this.#client.failed(listing, what, signal)
    const { kind } = (await this.#client.json(listing, what, signal)) ?? {}
    if (kind !== 'storage#objects') throw answeredError({ ...fault, status: 400 }, this.place, what)
    return absent
  }

  #get(path: string, query: Query, what: string, signal: AbortSignal, headers: Query = {}): Promise<HttpAnswer> {
    return this.#client.send({ method: 'GET', to: this.#at(path, query), headers, signal }, what)
  }

  #at(path: string, query: Query): { path: string; query: Query } {
    return { path: `/storage/v1/b/${this.#bucket}${path}`, query }
  }

  /** Nobody reads the answer's body. */
  #end<T>(answer: HttpAnswer, result: T): T {
    answer.body.destroy()
    return result
  }

  #listed(item: unknown, what: string): ListedObject {
    const { name, size, updated } = (item ?? {}) as { [field: string]: unknown }
    if (typeof name !== 'string' || !Number.isSafeInteger(Number(size ?? NaN))) throw notGcs(this.place, what)
    const modifiedMs = Date.parse(String(updated))
    return {
      name: name.slice(this.#prefix.length),
      size: Number(size),
      modifiedMs: Number.isNaN(modifiedMs) ? 0 : modifiedMs,
    }
  }

  #keyOf(name: string): string {
    const key = this.#prefix + name
    checkObjectName(name === '' ? name : key, this.place)
    return key
  }

  async #call<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    try {
      return await run()
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof SourceFailed ? error.reason : error
    }
  }
}

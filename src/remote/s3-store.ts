/**
 * A bucket on S3, or on something that speaks it.
 *
 * Owns     the door's calls as requests of @aws-sdk/client-s3.
 * Holds    Versions are entity tags. A name is looked up under the prefix and never elsewhere. "No such key" alone
 *          means absent: a HEAD cannot say it, so it is asked again. An answer without what S3 always sends is none of
 *          S3's. Tries of its own the SDK makes none, unless the client is the user's.
 */
import type * as Sdk from '@aws-sdk/client-s3'
import { checkObjectName } from '../base/object-name.ts'
import type {
  CallOptions,
  ListedObject,
  ListOptions,
  ObjectStat,
  ObjectStore,
  ObjectStoreError,
  ObjectVersion,
  ReadOptions,
  ReadResult,
  WriteOptions,
  WriteResult,
} from '../base/object-store.ts'
import { fromBase64, SourceFailed, type Body } from './body.ts'
import { bodyOf, truncated, type BodyStream } from './response-body.ts'
import { codeOf, notS3, s3Error, statusOf } from './s3-errors.ts'
import { upload, type Condition } from './s3-upload.ts'

const PAGE = 1000
const DELETES_AT_ONCE = 8
/** Some servers know no bulk deletes, or not these names in them. */
const NO_BULK_DELETE = new Set(['NotImplemented', 'MalformedXML', 'InvalidRequest', 'MissingContentMD5'])

export class S3ObjectStore implements ObjectStore {
  readonly '~varve' = 'objectStore' as const
  readonly place: string
  readonly #sdk: typeof Sdk
  readonly #client: Sdk.S3Client
  readonly #bucket: string
  /** Empty, or ends in `/`. */
  readonly #prefix: string

  constructor(sdk: typeof Sdk, client: Sdk.S3Client, bucket: string, prefix: string, place: string) {
    this.place = place
    this.#sdk = sdk
    this.#client = client
    this.#bucket = bucket
    this.#prefix = prefix
  }

  create(name: string, body: Body, options: WriteOptions): Promise<WriteResult> {
    return this.#write(name, body, { IfNoneMatch: '*' }, options)
  }

  replace(name: string, body: Uint8Array, version: ObjectVersion, options: WriteOptions): Promise<WriteResult> {
    return this.#write(name, body, { IfMatch: version }, options)
  }

  async read(name: string, options: ReadOptions): Promise<ReadResult> {
    const { range, unlessVersion, signal } = options
    if (range !== undefined && range.start >= range.end) return this.#readNothing(name, range.start, options)
    const input = {
      ...this.#target(name),
      ...(unlessVersion === undefined ? {} : { IfNoneMatch: unlessVersion }),
      ...(range === undefined
        ? { ChecksumMode: 'ENABLED' as const }
        : { Range: `bytes=${range.start}-${range.end - 1}` }),
    }
    const what = `reading '${name}'`
    return this.#call(what, signal, async () => {
      try {
        const answer = await this.#client.send(new this.#sdk.GetObjectCommand(input), { abortSignal: signal })
        const bytes = await this.#bodyOf(answer, range, `${this.place}: ${what}`, signal)
        return { kind: 'read', bytes, version: this.#versionOf(answer.ETag, what) }
      } catch (error) {
        if (statusOf(error) === 304) return { kind: 'unchanged' }
        if (codeOf(error) === 'NoSuchKey') return { kind: 'absent' }
        throw error
      }
    })
  }

  async stat(name: string, { signal }: CallOptions): Promise<ObjectStat | undefined> {
    const target = this.#target(name)
    const what = `looking up '${name}'`
    return this.#call(what, signal, async () => {
      const command = new this.#sdk.HeadObjectCommand({ ...target, ChecksumMode: 'ENABLED' })
      try {
        const answer = await this.#client.send(command, { abortSignal: signal })
        const { ContentLength: size, ETag, ChecksumCRC32 } = answer
        if (size === undefined) throw notS3(this.place, what)
        return { name, size, version: this.#versionOf(ETag, what), checksum: { crc32: fromBase64(ChecksumCRC32) } }
      } catch (error) {
        if (statusOf(error) !== 404) throw error
        // Without a body it may be the bucket that is not there.
        const probe = await this.read(name, { signal, range: { start: 0, end: 1 } })
        if (probe.kind === 'absent') return undefined
        throw error
      }
    })
  }

  async list(prefix: string, { signal, after, limit }: ListOptions): Promise<ListedObject[]> {
    const input = {
      Bucket: this.#bucket,
      Prefix: this.#prefix + prefix,
      MaxKeys: Math.min(limit, PAGE),
      EncodingType: 'url' as const,
      ...(after === undefined ? {} : { StartAfter: this.#prefix + after }),
    }
    const what = `listing '${prefix}'`
    return this.#call(what, signal, async () => {
      for (let token: string | undefined; ;) {
        const command = new this.#sdk.ListObjectsV2Command({ ...input, ContinuationToken: token })
        const answer = await this.#client.send(command, { abortSignal: signal })
        if (answer.IsTruncated === undefined) throw notS3(this.place, what)
        const listed = (answer.Contents ?? []).map((entry) => this.#listed(entry, what))
        if (listed.length > 0 || !answer.IsTruncated) return listed
        token = answer.NextContinuationToken
      }
    })
  }

  async delete(names: readonly string[], { signal }: CallOptions): Promise<ReadonlyMap<string, ObjectStoreError>> {
    const failed = new Map<string, ObjectStoreError>()
    for (const name of names) checkObjectName(this.#prefix + name, this.place)
    for (let start = 0; start < names.length; start += PAGE) {
      const page = names.slice(start, start + PAGE)
      await this.#call('deleting', signal, () => this.#deletePage(page, failed, signal))
    }
    signal.throwIfAborted()
    return failed
  }

  async #write(name: string, body: Body, condition: Condition, options: WriteOptions): Promise<WriteResult> {
    const target = { sdk: this.#sdk, client: this.#client, ...this.#target(name) }
    const what = `writing '${name}'`
    return this.#call(what, options.signal, async () => {
      try {
        const tag = await upload(target, body, condition, options.checksum ?? {}, options.signal)
        return { kind: 'written', version: this.#versionOf(tag, what) }
      } catch (error) {
        const isGone = 'IfMatch' in condition && codeOf(error) === 'NoSuchKey'
        if (isGone || statusOf(error) === 412) return { kind: 'refused' }
        throw error
      }
    })
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
    answer: Sdk.GetObjectCommandOutput,
    range: ReadOptions['range'],
    what: string,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const stream = answer.Body as unknown as BodyStream | undefined
    if (stream === undefined) throw truncated(what, 'without a body')
    if (range === undefined) return bodyOf(stream, answer.ContentLength, what, signal)
    const length = range.end - range.start
    const isRange = answer.ContentRange?.startsWith(`bytes ${range.start}-${range.end - 1}/`) ?? false
    if (isRange) return bodyOf(stream, length, what, signal)
    stream.destroy()
    throw truncated(what, `${answer.ContentRange ?? 'the whole object'} instead of ${range.start}-${range.end - 1}`)
  }

  async #deletePage(
    names: readonly string[],
    failed: Map<string, ObjectStoreError>,
    signal: AbortSignal,
  ): Promise<void> {
    const Objects = names.map((name) => ({ Key: this.#prefix + name }))
    const command = new this.#sdk.DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects } })
    try {
      const { Errors = [], Deleted = [] } = await this.#client.send(command, { abortSignal: signal })
      if (Errors.length + Deleted.length !== names.length) throw notS3(this.place, 'deleting')
      for (const { Key = '', Code = 'Error' } of Errors) {
        if (Code === 'NoSuchKey') continue
        const name = Key.slice(this.#prefix.length)
        failed.set(name, s3Error({ name: Code, $metadata: { httpStatusCode: 200 } }, this.place, `deleting '${name}'`))
      }
    } catch (error) {
      if (!NO_BULK_DELETE.has(codeOf(error)) && statusOf(error) !== 501) throw error
      await this.#deleteEach(names, failed, signal)
    }
  }

  async #deleteEach(
    names: readonly string[],
    failed: Map<string, ObjectStoreError>,
    signal: AbortSignal,
  ): Promise<void> {
    const left = [...names]
    const work = async (): Promise<void> => {
      for (let name = left.pop(); name !== undefined; name = left.pop()) {
        try {
          const command = new this.#sdk.DeleteObjectCommand(this.#target(name))
          await this.#client.send(command, { abortSignal: signal })
        } catch (error) {
          signal.throwIfAborted()
          if (codeOf(error) !== 'NoSuchKey') failed.set(name, s3Error(error, this.place, `deleting '${name}'`))
        }
      }
    }
    await Promise.all(Array.from({ length: DELETES_AT_ONCE }, work))
  }

  #listed({ Key, Size, LastModified }: Sdk._Object, what: string): ListedObject {
    if (Key === undefined || Size === undefined) throw notS3(this.place, what)
    const key = decodeURIComponent(Key.replaceAll('+', ' '))
    return { name: key.slice(this.#prefix.length), size: Size, modifiedMs: LastModified?.getTime() ?? 0 }
  }

  #target(name: string): { Bucket: string; Key: string } {
    const Key = this.#prefix + name
    checkObjectName(name === '' ? name : Key, this.place)
    return { Bucket: this.#bucket, Key }
  }

  #versionOf(tag: string | undefined, what: string): ObjectVersion {
    if (tag === undefined || tag === '') throw notS3(this.place, what)
    return tag
  }

  async #call<T>(what: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    try {
      return await run()
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof SourceFailed ? error.reason : s3Error(error, this.place, what)
    }
  }
}

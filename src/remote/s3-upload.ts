/**
 * Bodies on their way to S3: in one request, or in parts.
 *
 * Owns     the size from which a body goes in parts, and these.
 * Holds    The length of every request is known before, and its CRC-32 is sent along. A body goes as a stream of
 *          pieces, which the SDK neither hashes nor sends again: who tries again reads the source again. Parts that do
 *          not become an object are dropped.
 * Shared   At most four parts of one body are in memory and under way.
 */
import type * as Sdk from '@aws-sdk/client-s3'
import { crc32Of } from '../base/node-crc32.ts'
import { readableOf } from '../base/node-stream.ts'
import type { BodyChecksum } from '../base/object-store.ts'
import { base64Of, checksumsOf, piecesOf, readBody, RunningChecksum, sizeOf, type Body } from './body.ts'

const MIB = 2 ** 20
/** Signed whole; a longer one is sent as a stream. */
const SMALL_BYTES = MIB
const PIECE_BYTES = MIB
const ONE_REQUEST_BYTES = 64 * MIB
const LEAST_PART_BYTES = 16 * MIB
const MOST_PARTS = 1000
const PARTS_AT_ONCE = 4

export interface UploadTarget {
  readonly sdk: typeof Sdk
  readonly client: Sdk.S3Client
  readonly Bucket: string
  readonly Key: string
}

/** What must hold of the object that is written over. */
export type Condition = { readonly IfNoneMatch: '*' } | { readonly IfMatch: string }

/** Writes a body; answers its entity tag. Throws what the SDK throws, and what the source does. */
export async function upload(
  target: UploadTarget,
  body: Body,
  condition: Condition,
  checksum: BodyChecksum,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (sizeOf(body) > ONE_REQUEST_BYTES) return uploadParts(target, body, condition, checksum, signal)
  const crc32 = checksum.crc32 ?? (await checksumsOf(body, checksum, target.Key)).crc32
  const { sdk, client, Bucket, Key } = target
  const fields = { Bucket, Key, ...condition, ContentLength: sizeOf(body), ChecksumCRC32: base64Of(crc32) }
  return sendBody(body, target, signal, async (Body, abortSignal) => {
    return (await client.send(new sdk.PutObjectCommand({ ...fields, Body }), { abortSignal })).ETag
  })
}

async function uploadParts(
  target: UploadTarget,
  body: Body,
  condition: Condition,
  checksum: BodyChecksum,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { sdk, client, Bucket, Key } = target
  const place = { Bucket, Key }
  const how = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const
  const begun = await client.send(new sdk.CreateMultipartUploadCommand({ ...place, ...how }), { abortSignal: signal })
  if (begun.UploadId === undefined) return undefined
  const upload = { ...place, UploadId: begun.UploadId }
  try {
    const running = new RunningChecksum(checksum)
    const Parts = await sendParts(target, body, upload.UploadId, running, signal)
    running.check(Key)
    const whole = {
      MpuObjectSize: sizeOf(body),
      ChecksumType: how.ChecksumType,
      ChecksumCRC32: base64Of(running.crc32),
    }
    const complete = { ...upload, ...condition, ...whole, MultipartUpload: { Parts } }
    return (await client.send(new sdk.CompleteMultipartUploadCommand(complete), { abortSignal: signal })).ETag
  } catch (error) {
    // Parts that are left behind all the same cost money, but no correctness.
    const dropping = client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => undefined)
    if (!signal.aborted) await dropping
    throw error
  }
}

/** Reads part after part, and sends a few of them at once. */
async function sendParts(
  target: UploadTarget,
  body: Body,
  UploadId: string,
  running: RunningChecksum,
  signal: AbortSignal,
): Promise<Sdk.CompletedPart[]> {
  const size = sizeOf(body)
  const partBytes = Math.max(LEAST_PART_BYTES, Math.ceil(size / MOST_PARTS))
  const ending = new AbortController()
  const either = AbortSignal.any([signal, ending.signal])
  const parts: Sdk.CompletedPart[] = []
  const underWay = new Set<Promise<unknown>>()
  try {
    for (let start = 0; start < size; start += partBytes) {
      const part = await readBody(body, start, Math.min(start + partBytes, size), target.Key)
      running.add(part)
      const PartNumber = parts.length + 1
      const sending = sendPart(target, part, { UploadId, PartNumber }, either).then((done) => {
        parts[PartNumber - 1] = done
        underWay.delete(sending)
      })
      parts.push({ PartNumber })
      underWay.add(sending)
      if (underWay.size >= PARTS_AT_ONCE) await Promise.race(underWay)
    }
    await Promise.all(underWay)
  } catch (error) {
    ending.abort(error)
    await Promise.allSettled(underWay)
    throw error
  }
  return parts
}

async function sendPart(
  target: UploadTarget,
  part: Uint8Array,
  which: { readonly UploadId: string; readonly PartNumber: number },
  signal: AbortSignal,
): Promise<Sdk.CompletedPart> {
  const { sdk, client, Bucket, Key } = target
  const ChecksumCRC32 = base64Of(crc32Of(part))
  const fields = { Bucket, Key, ...which, ContentLength: part.length, ChecksumCRC32 }
  const ETag = await sendBody(part, target, signal, async (Body, abortSignal) => {
    return (await client.send(new sdk.UploadPartCommand({ ...fields, Body }), { abortSignal })).ETag
  })
  return { PartNumber: which.PartNumber, ETag, ChecksumCRC32 }
}

type SdkBody = NonNullable<Sdk.PutObjectCommandInput['Body']>

/** A body as the SDK takes it, and an end to the request when the source fails. */
async function sendBody<T>(
  body: Body,
  { Key }: UploadTarget,
  signal: AbortSignal,
  send: (body: SdkBody, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (sizeOf(body) <= SMALL_BYTES) return send(await readBody(body, 0, sizeOf(body), Key), signal)
  const ending = new AbortController()
  const stream = readableOf(piecesOf(body, PIECE_BYTES, Key), (error) => ending.abort(error))
  try {
    return await send(stream, AbortSignal.any([signal, ending.signal]))
  } catch (error) {
    throw ending.signal.aborted ? ending.signal.reason : error
  } finally {
    stream.destroy()
  }
}

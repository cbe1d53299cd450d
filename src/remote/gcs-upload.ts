/**
 * Bodies on their way to Google Cloud Storage: in one request, or in pieces of a session.
 *
 * Owns     the size from which a body goes in pieces, and the session.
 * Holds    Condition and CRC-32C go with the first request, and the store checks both when it has the last byte, which
 *          it gets only when the body had its checksum here. Pieces are sent in order, each with its place. A session
 *          that does not become an object is dropped.
 */
import { ObjectStoreError } from '../base/object-store.ts'
import type { HttpAnswer } from '../base/node-http.ts'
import { base64Of, piecesOf, readBody, RunningChecksum, sizeOf, type Body } from './body.ts'
import type { GcsClient } from './gcs-client.ts'
import { notGcs } from './gcs-errors.ts'

const MIB = 2 ** 20
const ONE_REQUEST_BYTES = 16 * MIB
/** A multiple of 256 KiB. */
const PIECE_BYTES = 16 * MIB
const READ_BYTES = MIB
const BOUNDARY = 'varve-body-3b9f1c54d7e04a6e'
const OK = 200
const PARTIAL = 308
const encoder = new TextEncoder()

/** An object's place, and the generation that it must have: `0`, none. */
export interface GcsTarget {
  readonly client: GcsClient
  readonly bucket: string
  readonly key: string
  readonly generation: string
}

/** Sends a body of which the CRC-32C is known; answers the last answer. */
export async function upload(
  target: GcsTarget,
  body: Body,
  crc32c: number,
  what: string,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const fields = { name: target.key, contentType: 'application/octet-stream', crc32c: base64Of(crc32c) }
  const metadata = JSON.stringify(fields)
  if (sizeOf(body) > ONE_REQUEST_BYTES) return uploadPieces(target, body, metadata, crc32c, what, signal)
  const content = await readBody(body, 0, sizeOf(body), target.key)
  const head = `${partOf('application/json')}${metadata}\r\n${partOf('application/octet-stream')}`
  return target.client.send(
    {
      method: 'POST',
      to: placeOf(target, 'multipart'),
      headers: { 'content-type': `multipart/related; boundary=${BOUNDARY}` },
      body: [encoder.encode(head), content, encoder.encode(`\r\n--${BOUNDARY}--`)],
      signal,
    },
    what,
  )
}

function partOf(type: string): string {
  return `--${BOUNDARY}\r\ncontent-type: ${type}\r\n\r\n`
}

async function uploadPieces(
  target: GcsTarget,
  body: Body,
  metadata: string,
  crc32c: number,
  what: string,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { client } = target
  const to = placeOf(target, 'resumable')
  const headers = { 'content-type': 'application/json' }
  const begun = await client.send({ method: 'POST', to, headers, body: [encoder.encode(metadata)], signal }, what)
  if (begun.status !== OK) return begun
  await client.readBounded(begun, READ_BYTES, what, signal)
  const { location } = begun.headers
  if (typeof location !== 'string' || !URL.canParse(location)) throw notGcs(client.place, what)
  const session = new URL(location)
  let isDone = false
  try {
    const answer = await sendPieces(target, body, session, crc32c, what, signal)
    isDone = answer.status === OK
    return answer
  } finally {
    if (!isDone) await drop(client, session, what, signal)
  }
}

/** A session that is left behind all the same is gone after a week, and costs nothing. */
async function drop(client: GcsClient, session: URL, what: string, signal: AbortSignal): Promise<void> {
  try {
    const answer = await client.send({ method: 'DELETE', to: { session }, signal }, what)
    answer.body.destroy()
  } catch (error) {
    if (!(error instanceof ObjectStoreError) && !signal.aborted) throw error
  }
}

async function sendPieces(
  target: GcsTarget,
  body: Body,
  session: URL,
  crc32c: number,
  what: string,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { client } = target
  const size = sizeOf(body)
  const running = new RunningChecksum({ crc32c })
  let start = 0
  for await (const piece of piecesOf(body, PIECE_BYTES, target.key)) {
    const end = start + piece.length
    running.add(piece)
    if (end === size) running.check(target.key)
    const headers = { 'content-range': `bytes ${start}-${end - 1}/${size}` }
    const answer = await client.send({ method: 'PUT', to: { session }, headers, body: [piece], signal }, what)
    if (answer.status !== PARTIAL || end === size) return answer
    await client.readBounded(answer, READ_BYTES, what, signal)
    if (answer.headers['range'] !== `bytes=0-${end - 1}`) throw lostPiece(client.place, what)
    start = end
  }
  throw notGcs(client.place, what)
}

/** The store may keep less than was sent; then all of it is sent again, by the next try. */
function lostPiece(place: string, what: string): ObjectStoreError {
  return new ObjectStoreError('unavailable', `${place}: ${what} failed, the store kept a part only.`, 'definite')
}

function placeOf(
  { bucket, generation }: GcsTarget,
  uploadType: string,
): { path: string; query: { [name: string]: string } } {
  return {
    path: `/upload/storage/v1/b/${bucket}/o`,
    query: { uploadType, ifGenerationMatch: generation, fields: 'generation,size,crc32c' },
  }
}

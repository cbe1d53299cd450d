/**
 * Requests to the JSON API of Google Cloud Storage.
 *
 * Owns     URLs and headers. Credentials come from the user's or our `Storage` of @google-cloud/storage, which is asked
 *          for them at each request and for nothing else: its own calls would try again unasked, end by no signal, and
 *          delete an object whose upload they think has failed.
 * Holds    Credentials are sent to the endpoint only, never to an address that a server has named.
 */
import type { HttpAnswer, HttpConnections } from '../base/node-http.ts'
import { joinBytes } from '../base/bytes.ts'
import { answeredError, credentialsError, faultOf, unansweredError, type GcsFault } from './gcs-errors.ts'
import { bodyOf } from './response-body.ts'

const MAX_TEXT_BYTES = 64 * 2 ** 20
const MAX_FAULT_BYTES = 64 * 2 ** 10

/** What we use of a `Storage`. */
export interface StorageLike {
  readonly apiEndpoint: string
  readonly customEndpoint: boolean
  readonly useAuthWithCustomEndpoint?: boolean | undefined
  readonly authClient: {
    getRequestHeaders(url: string): Promise<Iterable<[string, string]> | { [name: string]: string }>
  }
}

export interface GcsRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below the endpoint, or where a session goes on, without credentials. */
  readonly to:
    { readonly path: string; readonly query: { readonly [name: string]: string } } | { readonly session: URL }
  readonly headers?: { readonly [name: string]: string }
  readonly body?: readonly Uint8Array[]
  readonly signal: AbortSignal
}

export class GcsClient {
  readonly place: string
  readonly #storage: StorageLike
  readonly #connections: HttpConnections

  constructor(storage: StorageLike, connections: HttpConnections, place: string) {
    this.place = place
    this.#storage = storage
    this.#connections = connections
  }

  /** Sends one request; `what` is for messages. */
  async send(request: GcsRequest, what: string): Promise<HttpAnswer> {
    const { method, to, headers = {}, body, signal } = request
    const url = 'session' in to ? to.session : this.#urlOf(to.path, to.query)
    const credentials = 'session' in to ? {} : await this.#credentials(url, what, signal)
    const all = { 'accept-encoding': 'identity', ...headers, ...credentials }
    try {
      return await this.#connections.send({ method, url, headers: all, body, signal })
    } catch (error) {
      signal.throwIfAborted()
      throw unansweredError(error, this.place, what)
    }
  }

  /** Reads an answer that is JSON, or nothing. */
  async json(
    answer: HttpAnswer,
    what: string,
    signal: AbortSignal,
  ): Promise<{ readonly [name: string]: unknown } | undefined> {
    const bytes = await this.readBounded(answer, MAX_TEXT_BYTES, what, signal)
    try {
      const value: unknown = JSON.parse(Buffer.from(bytes).toString())
      return typeof value === 'object' && value !== null ? { ...value } : undefined
    } catch {
      return undefined
    }
  }

  /** Reads an answer that says what is wrong. */
  async fault(answer: HttpAnswer, what: string, signal: AbortSignal): Promise<GcsFault> {
    const bytes = await this.readBounded(answer, MAX_FAULT_BYTES, what, signal)
    return faultOf(answer.status, Buffer.from(bytes).toString())
  }

  async failed(answer: HttpAnswer, what: string, signal: AbortSignal): Promise<Error> {
    return answeredError(await this.fault(answer, what, signal), this.place, what)
  }

  /** The body, or its beginning. */
  async readBounded(answer: HttpAnswer, most: number, what: string, signal: AbortSignal): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    let size = 0
    try {
      for await (const piece of answer.body) {
        pieces.push(piece)
        size += piece.length
        if (size >= most) break
      }
    } catch (error) {
      signal.throwIfAborted()
      throw unansweredError(error, this.place, what)
    }
    signal.throwIfAborted()
    return joinBytes(pieces, size)
  }

  /** The body, exactly as long as it should be. */
  async read(answer: HttpAnswer, length: number | undefined, what: string, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await bodyOf(answer.body, length, `${this.place}: ${what}`, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw unansweredError(error, this.place, what)
    }
  }

  async #credentials(url: URL, what: string, signal: AbortSignal): Promise<{ [name: string]: string }> {
    const { customEndpoint, useAuthWithCustomEndpoint, authClient } = this.#storage
    if (customEndpoint && useAuthWithCustomEndpoint !== true) return {}
    try {
      const headers = await untilAborted(authClient.getRequestHeaders(url.href), signal)
      return Object.fromEntries(
        Symbol.iterator in headers ? (headers as Iterable<[string, string]>) : Object.entries(headers),
      )
    } catch (error) {
      signal.throwIfAborted()
      throw credentialsError(error, this.place, what)
    }
  }

  #urlOf(path: string, query: { readonly [name: string]: string }): URL {
    const url = new URL(this.#storage.apiEndpoint.replace(/\/$/, '') + path)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/**
 * The door to HTTP, for stores whose own client does too much by itself.
 *
 * Owns     connections that are kept for the next request, and an end to waiting: for a connection, and for bytes in
 *          either direction.
 * Holds    One request, one try. The length of what is sent is known. A failure is thrown with its errno in `code`. Who
 *          has an answer reads its body to the end or destroys it.
 */
import http from 'node:http'
import https from 'node:https'

const IDLE_MS = 30_000
const SOCKETS = 64

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: URL
  readonly headers: { readonly [name: string]: string }
  /** One behind the other. */
  readonly body?: readonly Uint8Array[] | undefined
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly body: AsyncIterable<Uint8Array> & { destroy(): unknown }
}

export interface HttpConnections {
  send(request: HttpRequest): Promise<HttpAnswer>
  close(): void
}

/** Connections of one store. */
export function httpConnections(): HttpConnections {
  const options = { keepAlive: true, maxSockets: SOCKETS, timeout: IDLE_MS }
  const agents = { 'http:': new http.Agent(options), 'https:': new https.Agent(options) }
  return {
    send: ({ url, ...rest }) => {
      const secure = url.protocol === 'https:'
      const agent = secure ? agents['https:'] : agents['http:']
      return send(secure ? https.request : http.request, agent, { url, ...rest })
    },
    close: () => Object.values(agents).forEach((agent) => agent.destroy()),
  }
}

function send(request: typeof http.request, agent: http.Agent, given: HttpRequest): Promise<HttpAnswer> {
  const { url, method, headers, body = [], signal } = given
  const length = body.reduce((size, piece) => size + piece.length, 0)
  const all = method === 'GET' ? headers : { ...headers, 'content-length': `${length}` }
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers: all, agent, signal, timeout: IDLE_MS })
    call.once('timeout', () => call.destroy(Object.assign(new Error('no bytes for too long'), { code: 'ETIMEDOUT' })))
    call.once('error', reject)
    call.once('response', (answer) => {
      // From here on the reader of the body hears of errors.
      call.on('error', () => undefined)
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer })
    })
    for (const piece of body) call.write(piece)
    call.end()
  })
}

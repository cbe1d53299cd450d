/**
 * Ports of this machine, for servers that tests start.
 */
import { connect, createServer } from 'node:net'

/** Two ports on the loopback that nobody listens on. */
export async function freePorts(): Promise<[number, number]> {
  const first = await listenAnywhere()
  const second = await listenAnywhere()
  await Promise.all([first.close(), second.close()])
  return [first.port, second.port]
}

export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function listenAnywhere(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, close: () => new Promise((resolve) => server.close(() => resolve())) }
}

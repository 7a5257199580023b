import { createServer, type ServerResponse } from 'node:http'
import { connect, createServer as createServer2 } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import { filterNodeResponse, type NodeResponse } from '../../../src/mcp/http/node-response.js'
import type { ResponseFilter } from '../../../src/mcp/http/response-filter.js'

type Write = (res: ServerResponse, log: string[]) => unknown

const later = () => new Promise<void>((resolve) => setTimeout(resolve, 10))

/** The events of a filter, in an order that a client could see. */
function recorder(
  isSlow: boolean,
  kind: 'parts' | 'whole' | undefined,
): { filter: ResponseFilter; seen: string[] } {
  const seen: string[] = []
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
  const filter: ResponseFilter = {
    async head({ status, field }) {
      if (isSlow) await later()
      seen.push(`${status} ${field('x-set')} ${field('x-given')}`)
      if (kind === undefined) return undefined
      if (kind === 'parts') {
        return {
          kind,
          async check(part) {
            if (isSlow) await later()
            seen.push(decode(part).slice(0, 20))
            return true
          },
        }
      }
      return {
        kind,
        check(body) {
          seen.push(decode(body).slice(0, 20))
          return undefined
        },
      }
    },
    closed: () => void seen.push('closed'),
  }
  return { filter, seen }
}

async function serve(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Received {
  readonly status: number
  readonly given: string | undefined
  readonly body: string
}

const protocols: Readonly<Record<string, (handler: (res: ServerResponse) => void) => Promise<Received>>> = {
  async 'HTTP/1.1'(handler) {
    const origin = await serve(createServer((_, res) => handler(res)))
    const response = await fetch(origin, { headers: { connection: 'close' } })
    const given = response.headers.get('x-given') ?? undefined
    return { status: response.status, given, body: await response.text() }
  },
  async 'HTTP/2'(handler) {
    const origin = await serve(createServer2((_, res) => handler(res as never)))
    const session = connect(origin)
    onTestFinished(() => session.close())
    const stream = session.request({ ':path': '/' })
    const headers = new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
    const body = await text(stream)
    const { ':status': status, 'x-given': given } = await headers
    return { status: Number(status), given: given === undefined ? undefined : String(given), body }
  },
}

const big = 'b'.repeat(1_000_000)

const ways: Readonly<Record<string, readonly [write: Write, received: Partial<Received>]>> = {
  'one end': [(res) => res.end('all'), { status: 200, body: 'all' }],
  'a status and an end': [
    (res) => {
      res.statusCode = 404
      res.end()
    },
    { status: 404, body: '' },
  ],
  'writeHead with fields': [
    (res) => {
      res.writeHead(201, { 'x-given': 'a' })
      res.write('one ')
      res.end('two')
    },
    { status: 201, given: 'a', body: 'one two' },
  ],
  'writeHead with a phrase, and bytes': [
    (res) => {
      res.writeHead(202, 'Taken', { 'X-Given': 'b' })
      res.write(new TextEncoder().encode('bytes '))
      res.end(Buffer.from('end'), () => {})
    },
    { status: 202, given: 'b', body: 'bytes end' },
  ],
  'flushHeaders before a late body': [
    async (res) => {
      res.flushHeaders()
      await later()
      res.write('late ')
      await later()
      res.end('body')
    },
    { status: 200, body: 'late body' },
  ],
  'a pipe that is longer than the buffers': [
    (res) => Readable.from([big, big, big]).pipe(res),
    { status: 200, body: big + big + big },
  ],
  'an encoding': [(res) => res.end('61', 'hex'), { status: 200, body: 'a' }],
}

const kinds = ['parts', 'whole', undefined] as const
const cases = Object.keys(protocols).flatMap((protocol) =>
  kinds.flatMap((kind) => [true, false].map((isSlow) => [protocol, kind, isSlow] as const)),
)

describe.each(cases)('a response over %s, filtered by %s, slowly: %s', (protocol, kind, isSlow) => {
  it.each(Object.keys(ways))('arrives as it was written: %s', async (way) => {
    const [write, expected] = ways[way] ?? []
    const inner = recorder(isSlow, kind)
    const outer = recorder(!isSlow, kind)
    const received = await protocols[protocol]?.((res) => {
      res.setHeader('x-set', 'y')
      // The second one is the outer one, as with two middleware.
      filterNodeResponse(res as unknown as NodeResponse, inner.filter)
      filterNodeResponse(res as unknown as NodeResponse, outer.filter)
      write?.(res, [])
    })
    expect(received).toMatchObject(expected ?? {})
    while (!outer.seen.includes('closed') || !inner.seen.includes('closed')) await later()
    for (const { seen } of [inner, outer]) {
      expect(seen[0]).toBe(`${received?.status} y ${received?.given}`)
      expect(seen.at(-1)).toBe('closed')
      if (kind === 'whole') expect(seen).toHaveLength(3)
      if (kind === undefined) expect(seen).toHaveLength(2)
    }
  })

  it('is replaced as a whole, by the inner filter or the outer one', async () => {
    const answer = {
      status: 403,
      headers: { 'content-type': 'text/plain', 'x-given': 'no' },
      body: 'refused',
    }
    for (const isInner of [true, false]) {
      const refusing: ResponseFilter = {
        async head() {
          if (isSlow) await later()
          if (kind === 'parts') return { kind, check: async () => false }
          return kind === 'whole' ? { kind, check: async () => answer } : answer
        },
      }
      const other = recorder(isSlow, undefined).filter
      const received = await protocols[protocol]?.((res) => {
        filterNodeResponse(res as unknown as NodeResponse, isInner ? refusing : other)
        filterNodeResponse(res as unknown as NodeResponse, isInner ? other : refusing)
        res.writeHead(200, { 'x-given': 'secret' })
        res.write('secret', () => {})
        res.end('more', () => {})
        res.end()
        res.write('after the end')
      })
      // A stream has sent its head already: its body is cut.
      const cut = { status: 200, given: 'secret', body: '' }
      expect(received).toEqual(kind === 'parts' ? cut : { status: 403, given: 'no', body: 'refused' })
    }
  })
})

import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import express from 'express'
import Koa from 'koa'
import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { createKit, type WireRequest } from '../../fixtures/kit.js'
import * as forExpress from '../../middleware/express.js'
import * as forKoa from '../../middleware/koa.js'

const kit = createKit()
const policy = { ...defaultPolicy(), routes: { 'GET /orders/:id': 'authenticated' } } as const

const apps = {
  Express: () =>
    express()
      .use(forExpress.ajwt(policy, { now: () => kit.now }))
      .get('/orders/:id', (_, res) => {
        res.send('handler')
      }),
  Koa: () => {
    const app = new Koa().use(forKoa.ajwt(policy, { now: () => kit.now }))
    return app
      .use((ctx) => {
        ctx.body = 'handler'
      })
      .callback()
  },
}

/** Hands a request to an app that never was on a wire, as function hosts and test tools do, and gives the status. */
async function hand(
  app: (req: IncomingMessage, res: ServerResponse) => unknown,
  { method, url }: WireRequest,
  fields: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
): Promise<number> {
  const socket = new Duplex({ read() {}, write: (_piece, _encoding, done) => done() }) as Socket
  const req = Object.assign(new IncomingMessage(socket), { method, url, ...fields })
  const res = new ServerResponse(req)
  res.assignSocket(socket)
  const ended = once(res, 'finish')
  app(req, res)
  await ended
  return res.statusCode
}

describe.each(Object.entries(apps))('the fields of a request to %s', (_, build) => {
  const raw = ({ headers }: WireRequest) => headers.flat() as string[]
  const object = ({ headers }: WireRequest) => Object.fromEntries(headers)

  test('are those of the list that came over the wire', async () => {
    const call = kit.call()
    expect(await hand(build(), call, { rawHeaders: raw(call), headers: {} })).toBe(200)
    const mixed = raw(call).map((text, at) => (at % 2 === 0 ? text.toUpperCase() : text))
    expect(await hand(build(), kit.call(), { rawHeaders: mixed, headers: {} })).toBe(200)
  })

  test('and where nothing did, those of the object', async () => {
    const call = kit.call()
    expect(await hand(build(), call, { rawHeaders: [], headers: object(call) })).toBe(200)
    expect(await hand(build(), call, { rawHeaders: undefined as never, headers: object(kit.call()) })).toBe(
      200,
    )
  })

  test('with every second one of a name, which the object hides', async () => {
    const call = kit.call()
    const [, token] = call.headers[0] as [string, string]
    const rawHeaders = [...raw(call), 'Authorization', token]
    expect(await hand(build(), call, { rawHeaders, headers: object(call) })).toBe(400)
    const twoProofs = [...raw(kit.call()), 'DPoP', kit.proof()]
    expect(await hand(build(), call, { rawHeaders: twoProofs, headers: object(call) })).toBe(401)
  })

  test('whatever somebody has added to all arrays', async () => {
    Object.defineProperty(Array.prototype, 'get', { value: () => null, configurable: true })
    try {
      const call = kit.call()
      expect(await hand(build(), call, { rawHeaders: raw(call), headers: {} })).toBe(200)
    } finally {
      Reflect.deleteProperty(Array.prototype, 'get')
    }
  })

  test('but for a list that is none: that is no request without credentials', async () => {
    const call = kit.call()
    const lists = [['authorization'], ['host', 'x', 'dpop'], [1, 2], [['a', 'b']], ['a', null]] as string[][]
    for (const rawHeaders of lists) {
      expect(await hand(build(), call, { rawHeaders, headers: object(call) })).toBe(503)
    }
  })
})

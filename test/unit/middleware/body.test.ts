import express from 'express'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ajwt, requireIntent } from '../../../middleware/express.js'
import { type AppOptions, apps, type MakeApp } from '../../support/content/apps.js'
import { type ContentApp, type ContentRequest, serve } from '../../support/content/request.js'

const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }

describe.each(Object.entries(apps))('A262 body on %s', (name, make: MakeApp) => {
  const rule = { body: { '/amount': { max: 100, maxClaim: '/budget' }, '/note': { exists: false } } } as const
  let app: ContentApp
  beforeAll(async () => {
    app = await serve((verifier) => make(verifier, rule))
  })
  afterAll(() => app.close())

  const send = (body: ContentRequest['body'], headers = json, claims: object = { budget: 50 }) =>
    app.send({ ...(body === undefined ? {} : { body }), headers, claims: { ...claims } })

  test('a body that meets the rule reaches the handler, which can still read it', async () => {
    expect(await send({ amount: 50, to: ['a'] })).toMatchObject({
      status: 200,
      seen: { body: { amount: 50, to: ['a'] } },
    })
  })

  test.for<[what: string, body: ContentRequest['body']]>([
    ['more than the claim', { amount: 51 }],
    ['text instead of a number', { amount: '5' }],
    ['a missing member', {}],
    ['null', { amount: null }],
    ['an array', { amount: [5] }],
    ['a member that must not be there', { amount: 5, note: null }],
    ['an array as the body', [{ amount: 5 }]],
    ['an integer beyond 2^53', '{"amount": -9007199254740993}'],
    ['an infinite number', '{"amount": 5, "other": 1e999}'],
    ['the last of two members', '{"amount": 5, "amount": 500}'],
  ])('%s is refused', async ([, body]) => {
    expect(await send(body)).toMatchObject({ status: 403, seen: 'argument_not_allowed' })
  })

  test('a member that comes twice is refused, where the bytes are kept', async () => {
    for (const body of [
      '{"amount": 500, "amount": 5}',
      '{"amount": 5, "a": [{"b": 1, "\\u0062": 1}]}',
      '{"amount": 5, "a": ":", "a": "\\":"}',
    ]) {
      expect(await send(body), body).toMatchObject({ status: 403, seen: 'argument_not_allowed' })
    }
    const once = '{"amount": 5, "a": ["\\"b\\":", {"b": {"b": 1}}], "c" : "{\\"amount\\":1}"}'
    expect((await send(once)).status).toBe(200)
  })

  test('the cause names the pointer, the constraint and the value', async () => {
    expect((await send({ amount: 51 })).cause).toMatchObject({
      claim: '/amount',
      expected: '{"max":100,"maxClaim":"/budget"}',
      found: '51',
      unverified: true,
    })
  })

  test('a token without the claim is refused', async () => {
    expect(await send({ amount: 5 }, json, {})).toMatchObject({ status: 403, seen: 'argument_not_allowed' })
  })

  test('a member __proto__ is refused, or does not get past the parser', async () => {
    for (const body of [
      '{"amount": 5, "__proto__": {"note": 1}}',
      '{"amount": 5, "a": [{"__proto__": 1}]}',
    ]) {
      expect([400, 403], body).toContain((await send(body)).status)
    }
  })

  test('a body that no parser reads is refused, with a cause', async () => {
    const plain = await send('{"amount": 5}', { 'content-type': 'text/plain' })
    // Fastify parses text.
    expect(plain).toMatchObject({ status: 403, seen: 'argument_not_allowed' })
    expect(plain.cause?.reason).toMatch(/parse/)
    const odd = await send('{"amount": 5}', { 'content-type': 'application/x-odd' })
    expect(odd.status).toBe(name.startsWith('Fastify') ? 415 : 403)
  })

  test('a refused body uses up no limit and no single-use token', async () => {
    const once = await serve((verifier) =>
      make(verifier, {
        ...rule,
        limit: { per: 'initiator', max: 1, name: 'bodies', window: 60 },
        once: true,
      }),
    )
    const intent = { executed_by: 'agent-7', initiated_by: `user of ${name}` }
    const post = async (amount: number) =>
      (await once.send({ body: { amount }, claims: { budget: 50, sub: 'agent-7', intent } })).seen
    expect(await post(51)).toBe('argument_not_allowed')
    expect(await post(50)).toMatchObject({ body: { amount: 50 } })
    expect(await post(50)).toBe('limit_exceeded')
    once.close()
  })

  test('a request without content is refused, even if the rule only forbids', async () => {
    const forbidding = await serve((verifier) => make(verifier, { body: { '/note': { exists: false } } }))
    const nothing = await forbidding.send({})
    expect(nothing).toMatchObject({ status: 403, seen: 'argument_not_allowed' })
    expect(nothing.cause?.reason).toMatch(/parse/)
    expect((await forbidding.send({ method: 'GET' })).status).toBe(403)
    const scalars = ['17', '"text"', 'null', '', '[]']
    for (const body of scalars) {
      const { status } = await forbidding.send({ body, headers: json })
      // Parsers refuse some of these. An array is a body, and it has no note.
      expect(body === '[]' ? [200] : [400, 403], body).toContain(status)
    }
    expect((await forbidding.send({ body: {} })).status).toBe(200)
    forbidding.close()
  })

  test('forms are text, and a field that comes twice is refused', async () => {
    if (name.startsWith('Fastify')) return expect((await send('amount=5', form)).status).toBe(415)
    const formApp = await serve((verifier) => make(verifier, { body: { '/amount': { equals: '5' } } }))
    const post = async (body: string) => (await formApp.send({ body, headers: form })).status
    expect(await post('amount=5&other=1')).toBe(200)
    expect(await post('amount=5&amount=5')).toBe(403)
    expect(await post('amount=6')).toBe(403)
    expect(await post('amount[]=5')).toBe(403)
    expect(await post('amount[a]=5')).toBe(403)
    expect(await post('__proto__[amount]=5')).toBe(403)
    expect((await send('amount=5', form)).status).toBe(403)
    formApp.close()
  })
})

const unparsed: AppOptions = { parses: false }

describe.each(Object.entries(apps).filter(([name]) => name !== 'Hono'))(
  'without a body parser, %s',
  (_, make) => {
    test('refuses every request, and the cause says what to mount', async () => {
      const app = await serve((verifier) =>
        make(verifier, { body: { '/note': { exists: false } } }, unparsed),
      )
      const { status, seen, cause } = await app.send({ body: { amount: 1 } })
      expect([status, seen]).toEqual([403, 'argument_not_allowed'])
      expect(cause?.reason).toMatch(/^the request has no parsed body: mount a body parser/)
      app.close()
    })
  },
)

test('bytes and text are no parsed body', async () => {
  for (const parser of [express.raw({ type: '*/*' }), express.text({ type: '*/*' })]) {
    const app = await serve((verifier) => {
      const rule = requireIntent({ body: { '/note': { exists: false } } })
      return express()
        .use(ajwt(verifier), parser)
        .post('/refunds', rule, (_req, res) => void res.end())
    })
    const { status, cause } = await app.send({ body: { amount: 5 } })
    expect([status, cause?.reason]).toEqual([403, expect.stringMatching(/is no JSON object or array/)])
    app.close()
  }
})

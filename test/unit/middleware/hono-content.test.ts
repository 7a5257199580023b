import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { describe, expect, test } from 'vitest'
import { ajwt, checkIntent, requireIntent } from '../../../middleware/hono.js'
import type { DecisionFacts, HandlerRule } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { contentDigest } from '../../support/content/request.js'

const issuer = createTestIssuer()
const policy = {
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: { 'POST /refunds': 'authenticated' },
} as const

type Handler = (c: Context) => Promise<Response>

const reasons: (string | undefined)[] = []
const onDecision = (_: unknown, { cause }: DecisionFacts) => void reasons.push(cause?.reason)

function appOf(rule: HandlerRule<Context>, handler: Handler, before?: MiddlewareHandler): Hono {
  const app = new Hono()
  app.use(ajwt(policy, { onDecision }))
  if (before !== undefined) app.use(before)
  app.post('/refunds', requireIntent(rule), handler)
  return app
}

async function post(
  app: Hono,
  body: string | Uint8Array<ArrayBuffer> | ArrayBuffer,
  type = 'application/json',
  claims = {},
  fields = {},
) {
  const headers = { ...issuer.headers({ method: 'POST', url: '/refunds', claims }), ...fields }
  const types = type === '' ? {} : { 'content-type': type }
  const response = await app.request('/refunds', { method: 'POST', headers: { ...headers, ...types }, body })
  const text = await response.text()
  return response.ok ? text : (JSON.parse(text) as { code: string }).code
}

const rule = { body: { '/amount': { in: [5, '5'] } } } as const
const asJson: Handler = async (c) => c.text(JSON.stringify(await c.req.json()))

describe('a body in Hono', () => {
  test('is still there for every method of c.req', async () => {
    const reads: Record<string, Handler> = {
      json: asJson,
      text: async (c) => c.text(await c.req.text()),
      arrayBuffer: async (c) => c.text(new TextDecoder().decode(await c.req.arrayBuffer())),
      blob: async (c) => c.text(await (await c.req.blob()).text()),
    }
    for (const [name, read] of Object.entries(reads)) {
      expect(await post(appOf(rule, read), '{"amount":5}'), name).toBe('{"amount":5}')
    }
    const form = appOf(rule, async (c) => c.text(String((await c.req.formData()).get('amount'))))
    expect(await post(form, 'amount=5', 'application/x-www-form-urlencoded')).toBe('5')
    const parsed = appOf(rule, async (c) => c.text(String((await c.req.parseBody()).amount)))
    const multipart = new FormData()
    multipart.append('amount', '5')
    multipart.append('receipt', new Blob(['x'], { type: 'text/plain' }), 'receipt.txt')
    // One Response: its boundary is in both.
    const sent = new Response(multipart)
    const type = sent.headers.get('content-type') ?? ''
    expect(await post(parsed, await sent.arrayBuffer(), type)).toBe('5')
  })

  test('that is JSON and a form at once is refused, because the handler may read either', async () => {
    const body = '{"amount":1000,"x":"&amount=5&"}'
    expect(await post(appOf(rule, asJson), body, 'application/x-www-form-urlencoded')).toBe(
      'argument_not_allowed',
    )
  })

  test('of another media type is refused', async () => {
    for (const type of ['text/plain', 'application/octet-stream', 'text/json', 'application/json-x', 'x']) {
      expect(await post(appOf(rule, asJson), new TextEncoder().encode('{"amount":5}'), type), type).toBe(
        'argument_not_allowed',
      )
    }
    for (const type of ['application/problem+json', 'APPLICATION/JSON ; charset=utf-8']) {
      expect(await post(appOf(rule, asJson), '{"amount":5}', type), type).toBe('{"amount":5}')
    }
  })

  test('that an earlier middleware has read through c.req is read again', async () => {
    for (const before of ['json', 'text', 'arrayBuffer'] as const) {
      const app = appOf(rule, asJson, async (c, next) => {
        await c.req[before]()
        await next()
      })
      expect(await post(app, '{"amount":5}'), before).toBe('{"amount":5}')
      expect(await post(app, '{"amount":6}'), before).toBe('argument_not_allowed')
    }
  })

  test('that an earlier middleware has consumed is refused', async () => {
    const app = appOf(rule, asJson, async (c, next) => {
      await c.req.raw.text()
      await next()
    })
    expect(await post(app, '{"amount":5}')).toBe('argument_not_allowed')
  })

  test('is compared by checkIntent, too', async () => {
    const app = new Hono()
    app.use(ajwt(policy))
    app.post('/refunds', async (c) => c.text((await checkIntent(c, rule))?.code ?? (await c.req.text())))
    expect(await post(app, '{"amount":5}')).toBe('{"amount":5}')
    expect(await post(app, '{"amount":6}')).toBe('argument_not_allowed')
  })
})

test('a digest in Hono is refused where only a parsed form is left', async () => {
  const body = 'amount=5'
  const claims = { action_hash: contentDigest(body) }
  const fields = { 'content-digest': contentDigest(body) }
  const form = 'application/x-www-form-urlencoded'
  const ok: Handler = async (c) => c.text('ok')
  expect(await post(appOf({ digest: true }, ok), body, form, claims, fields)).toBe('ok')
  const app = appOf({ digest: true }, ok, async (c, next) => {
    await c.req.formData()
    await next()
  })
  expect(await post(app, body, form, claims, fields)).toBe('argument_not_allowed')
  // The form could be encoded again, but those would be other bytes.
  expect(reasons.at(-1)).toMatch(/^the bytes of the content were not kept/)
})

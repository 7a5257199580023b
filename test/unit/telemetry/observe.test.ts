import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import supertest from 'supertest'
import { afterEach, describe, expect, it } from 'vitest'
import { frameworks, type RunningApp } from '../../../fixtures/frameworks.js'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { requireIntent, requireToolIntent } from '../../../middleware/express.js'
import { createVerifier, type Policy } from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: {
    'GET /orders/:id': { scope: 'orders:read' },
    'GET /admin/:id': { scope: 'admin' },
    'GET /trial/:id': { scope: 'admin', mode: 'observe' },
    'GET /strict/:id': { scope: 'admin', mode: 'enforce' },
  },
}

const routes = [
  { method: 'get', path: '/orders/:id' },
  { method: 'get', path: '/admin/:id' },
  { method: 'get', path: '/trial/:id' },
  { method: 'get', path: '/strict/:id' },
  { method: 'get', path: '/undeclared' },
] as const

/** The warnings of the process while this ran. */
async function warningsOf(run: () => unknown): Promise<string[]> {
  const warnings: string[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'AJWT_OBSERVE') warnings.push(`${warning.name}: ${warning.message}`)
  }
  process.on('warning', listen)
  await run()
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', listen)
  return warnings
}

describe.each(Object.entries(frameworks))('observe mode on %s', (_, start) => {
  const running: RunningApp[] = []
  afterEach(async () => {
    for (const app of running.splice(0)) await app.close()
  })

  async function startApp(mode: Policy['mode']) {
    const kit = createKit(Date.now())
    const told: string[] = []
    const verifier = createVerifier(
      { ...policy, ...(mode === undefined ? {} : { mode }) },
      {
        onDecision: (decision) =>
          void told.push('code' in decision ? `${decision.outcome} ${decision.code}` : decision.outcome),
      },
    )
    const app = await start({ policies: [verifier], routes })
    running.push(app)
    return {
      told,
      async get(path: string, credentials = true) {
        const headers = credentials ? kit.call({ path }).headers : []
        const answer = await supertest(app.origin).get(path).set(Object.fromEntries(headers))
        return { status: answer.status, grant: answer.body.grant, headers: Object.keys(answer.headers) }
      },
    }
  }

  it('lets a route go on without a grant, and no other', async () => {
    const { told, get } = await startApp(undefined)
    const trial = await get('/trial/1')
    expect(trial).toMatchObject({ status: 200, grant: null })
    // Nothing that is sent tells a caller that it was refused.
    expect(trial.headers).toEqual((await get('/orders/1')).headers)
    expect(await get('/trial/1', false)).toMatchObject({ status: 200, grant: null })
    expect((await get('/admin/1')).status).toBe(403)
    expect(told).toEqual([
      'observe scope_insufficient',
      'allow',
      'observe credentials_missing',
      'deny scope_insufficient',
    ])
  })

  it('lets a whole policy go on without a grant, but for routes that are enforced', async () => {
    const { told, get } = await startApp('observe')
    expect(await get('/admin/1')).toMatchObject({ status: 200, grant: null })
    expect(await get('/undeclared')).toMatchObject({ status: 200, grant: null })
    expect(await get('/orders/1')).toMatchObject({ status: 200, grant: { agent: { id: 'agent-7' } } })
    expect((await get('/strict/1')).status).toBe(403)
    expect(told).toEqual([
      'observe scope_insufficient',
      'observe route_not_declared',
      'allow',
      'deny scope_insufficient',
    ])
  })

  it('takes the grant away where a requireIntent that is only observed does not hold', async () => {
    const kit = createKit(Date.now())
    const rule = { user: { acr: ['phr'] }, mode: 'observe' } as const
    const app = await start({ policies: [policy], routes: [{ method: 'get', path: '/orders/:id', rule }] })
    running.push(app)
    const get = async (claims: object) => {
      const { headers } = kit.call({ token: { claims: { ...claims } } })
      return (await supertest(app.origin).get('/orders/42').set(Object.fromEntries(headers))).body.grant
    }
    expect(await get({})).toBeNull()
    expect(await get({ acr: 'phr' })).toMatchObject({ agent: { id: 'agent-7' } })
  })
})

describe('observe mode', () => {
  it('is reported at the start in one warning, and never again', async () => {
    const effect = 'denials are only reported, and the denied requests reach the handlers without a grant'
    const { 'GET /trial/:id': _, ...enforced } = policy.routes
    const quiet = await warningsOf(() => createVerifier({ ...policy, routes: enforced }))
    expect(quiet).toEqual([])
    const warnings = await warningsOf(async () => {
      const verifier = createVerifier({ ...policy, routes: enforced, mode: 'observe' })
      for (let count = 0; count < 5; count++) await verifier.verify({ method: 'GET', url: '/x', headers: {} })
    })
    expect(warnings).toEqual([
      `AjwtWarning: the policy has mode "observe", except on GET /strict/:id: ${effect}`,
    ])
    expect(await warningsOf(() => createVerifier(policy))).toEqual([
      `AjwtWarning: GET /trial/:id has mode "observe": ${effect}`,
    ])
    expect(await warningsOf(() => requireIntent({ scope: 'x', mode: 'observe' }))).toEqual([
      `AjwtWarning: a requireIntent has mode "observe": ${effect}`,
    ])
    const tools = { read: {}, refund: { scope: 'x', mode: 'observe' } } as const
    expect(await warningsOf(() => requireToolIntent({ tools }))).toEqual([
      `AjwtWarning: a requireToolIntent, in its rule tools refund, has mode "observe": ${effect}`,
    ])
    const many = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`GET /r${index}`, { mode: 'observe' as const }]),
    )
    const [line = ''] = await warningsOf(() => createVerifier({ ...policy, routes: many }))
    expect(line).toMatch(/^AjwtWarning: GET \/r0, .*, GET \/r9 and 990 more have mode "observe": [^\n]*$/)
  })

  it('is visible on stderr without any configuration', async () => {
    const file = fileURLToPath(new URL('../../support/telemetry/spawned/app.ts', import.meta.url))
    const child = fork(file, ['Express 5', JSON.stringify(issuerJwks()), 'observe'], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let errors = ''
    child.stderr?.on('data', (chunk) => {
      errors += chunk
    })
    await new Promise((resolve) => child.once('message', resolve))
    child.kill()
    await new Promise((resolve) => child.once('close', resolve))
    const lines = errors.split('\n').filter((line) => line.includes('AJWT_OBSERVE'))
    expect(lines).toEqual([expect.stringContaining('AjwtWarning: the policy has mode "observe"')])
  })

  it('shows in no metadata', () => {
    expect(createVerifier({ ...policy, mode: 'observe' }).metadata()).toEqual(
      createVerifier({ ...policy, mode: 'enforce' }).metadata(),
    )
  })

  it('is not reached by anything that a request says', async () => {
    const { 'GET /trial/:id': _, ...enforced } = policy.routes
    const kit = createKit()
    const verifiers = [
      createVerifier({ ...policy, routes: enforced }, { now: () => kit.now }),
      // A route that is observed must not draw others along, however they are spelled.
      createVerifier(policy, { now: () => kit.now }),
    ]
    const word = fc.constantFrom(
      'observe',
      'mode',
      'ajwt-mode',
      'x-ajwt-mode',
      'trial',
      '1',
      'GET',
      'enforce',
    )
    const path = fc
      .array(
        fc.oneof(word, fc.constantFrom('orders', 'admin', '..', '%2e%2e', 'TRIAL', 'trial%2f1', '', ';')),
        {
          maxLength: 4,
        },
      )
      .map((segments) => `/${segments.join('/')}`)
    const run = fc.asyncProperty(
      fc.constantFrom('GET', 'get', 'POST', 'HEAD', 'OPTIONS', 'observe'),
      path,
      fc.dictionary(word, fc.oneof(word, path)),
      fc.dictionary(word, word),
      fc.boolean(),
      async (method, url, headers, claims, isSigned) => {
        const intent = kit.intent(claims)
        const call = kit.call({ method, path: url, token: { claims: { ...claims, intent }, header: {} } })
        const credentials = isSigned ? Object.fromEntries(call.headers) : {}
        const query = new URLSearchParams(headers)
        for (const [index, verifier] of verifiers.entries()) {
          const decision = await verifier.verify({
            method,
            url: `${url}?${query}`,
            headers: { ...headers, ...credentials },
          })
          const isTrial = index === 1 && 'route' in decision && decision.route === '/trial/:id'
          if (!isTrial) expect(decision.outcome).not.toBe('observe')
        }
      },
    )
    await fc.assert(run, { numRuns: 300 })
    // The same reaches observe where the policy says so: the property can fail.
    const open = createVerifier({ ...policy, mode: 'observe' }, { now: () => kit.now })
    expect((await open.verify({ method: 'GET', url: '/admin/1', headers: {} })).outcome).toBe('observe')
  })
})

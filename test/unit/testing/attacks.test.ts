import { describe, expect, it } from 'vitest'
import {
  createVerifier,
  memoryReplayStore,
  memoryRevocations,
  type Policy,
  type VerifierOptions,
} from '../../../src/index.js'
import { type AttackRow, createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const scope = 'orders:read'
const url = '/orders/7'

function policyOf(rule: Exclude<Policy['routes'][string], string>): Policy {
  const { policyIssuer, audience } = issuer
  return { issuer: policyIssuer, audience, routes: { 'GET /orders/:id': { scope, ...rule } } }
}

function appOf(policy: Policy, options: VerifierOptions = {}) {
  const verifier = createVerifier(policy, options)
  return async (request: Request) => verifier.respond(await verifier.verify(request)) ?? new Response('ok')
}

/** A row that is not there fails the test: an attack that was left out proves nothing. */
function outcomes(rows: readonly AttackRow[], ...names: readonly string[]): string[] {
  expect(rows[0]).toMatchObject({ name: 'the honest request', ok: true })
  return names.map((name) => rows.find((row) => row.name.includes(name))?.got ?? `no row: ${name}`)
}

const failed = (rows: readonly AttackRow[]) =>
  rows.filter(({ ok }) => !ok).map(({ name, got }) => [name, got])

describe('an attack on a chain', () => {
  it('forges a middle hop with a second key of the first delegator', async () => {
    const rows = await issuer.attacks(appOf(policyOf({})), { url, scope })
    expect(outcomes(rows, 'a middle hop')).toEqual(['401 delegation_link_broken'])
    const shallow = await issuer.attacks(appOf({ ...policyOf({}), delegation: { maxDepth: 1 } }), {
      url,
      scope,
    })
    expect(outcomes(shallow, 'a middle hop')).toEqual(['401 delegation_too_deep'])
    expect([...failed(rows), ...failed(shallow)]).toEqual([])
  })

  it('puts a person in the place of the agent that begins a listed one', async () => {
    const chain = ['planner', 'auditor', 'worker']
    const rows = await issuer.attacks(appOf(policyOf({ delegation: { chains: [chain] } })), {
      url,
      scope,
      intent: { chain },
    })
    expect(outcomes(rows, 'a person with the id')).toEqual(['403 delegation_not_allowed'])
    expect(failed(rows)).toEqual([])
  })
})

describe('an attack with agents that were revoked', () => {
  const chain = ['planner', 'auditor', 'worker']
  const names = ['a delegation by a revoked', 'a run initiated by', 'an allowed chain with']

  it('finds each of them refused', async () => {
    const revocations = memoryRevocations()
    const app = appOf(policyOf({ delegation: { chains: [chain] } }), { revocations })
    const rows = await issuer.attacks(app, { url, scope, intent: { chain }, revocations })
    expect(outcomes(rows, ...names)).toEqual(['401 token_revoked', '401 token_revoked', '401 token_revoked'])
    expect(failed(rows)).toEqual([])
  })

  it('finds out an app that asks another list', async () => {
    const app = appOf(policyOf({}))
    const rows = await issuer.attacks(app, { url, scope, revocations: memoryRevocations() })
    expect(outcomes(rows, names[0] ?? '', names[1] ?? '')).toEqual(['200', '200'])
  })
})

describe('an attack with what was used before', () => {
  const names = [
    'a proof and its token, used again at another verifier',
    'a single-use token, used again',
    'a single-use token, used again at another verifier',
  ]
  const refused = ['401 proof_replayed', '401 token_reused', '401 token_reused']

  it('finds it refused at a second verifier of the same process', async () => {
    const policy = policyOf({ once: true })
    const rows = await issuer.attacks(appOf(policy), { url, scope, once: true, replica: appOf(policy) })
    expect(outcomes(rows, ...names)).toEqual(refused)
    expect(failed(rows)).toEqual([])
  })

  it('finds out two verifiers that share no replay memory', async () => {
    const own = () => appOf(policyOf({ once: true }), { replayStore: memoryReplayStore() })
    const rows = await issuer.attacks(own(), { url, scope, once: true, replica: own() })
    expect(rows.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual([names[0], names[2]])
  })

  it('finds out a route that takes a token more than once', async () => {
    const rows = await issuer.attacks(appOf(policyOf({})), { url, scope, once: true })
    expect(failed(rows)).toEqual([['a single-use token, used again', '200']])
  })
})

describe('an attack with credentials that another middleware takes away', () => {
  it('finds out an app whose middleware does not do so', async () => {
    const rows = await issuer.attacks(appOf(policyOf({})), { url, scope, stripped: { 'x-strip': 'nothing' } })
    expect(failed(rows)).toEqual([['credentials removed by another middleware', '200']])
  })
})

describe('a route with `anonymous: true`', () => {
  it('has no failure where the target says so, and one where it does not', async () => {
    const app = appOf(policyOf({ anonymous: true }))
    const rows = await issuer.attacks(app, { url, scope, anonymous: true })
    expect(failed(rows)).toEqual([])
    expect(rows.length).toBeGreaterThan(40)
    // A route that is open by mistake has to be found.
    expect(failed(await issuer.attacks(app, { url, scope }))).toEqual([['no credentials', '200']])
  })
})

import { createHash } from 'node:crypto'
import {
  calculateJwkThumbprint,
  EmbeddedJWK,
  exportJWK,
  generateKeyPair,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose'
import { describe, expect, it } from 'vitest'
import { AgentDelegationError, type AgentIdentity } from '../../../../src/agent/index.js'
import { failure, payload, startServers } from '../../../support/agent/setup.js'

const audience = 'https://orders.example.com'
const seed = new Uint8Array(32).fill(1)
const HASH = 'h'.repeat(43)

async function agents() {
  const all = await startServers()
  const [supervisor, planner, worker] = ['supervisor', 'planner', 'worker'].map((id) =>
    all.client(id, { seed }),
  )
  if (!supervisor || !planner || !worker) throw new Error('three agents')
  const ids = {
    supervisor: await supervisor.identity(),
    planner: await planner.identity(),
    worker: await worker.identity(),
  }
  return { ...all, supervisor, planner, worker, ids }
}

async function code(work: Promise<unknown>) {
  return (await failure(work, AgentDelegationError)).code
}

describe('delegate', () => {
  it('signs an assertion that plain jose verifies', async () => {
    const { supervisor, ids } = await agents()
    const before = Math.floor(Date.now() / 1000)
    const assertion = await supervisor.delegate(ids.planner, { scope: ['b', 'a'], ttl: 60, audience })
    const { payload: claims, protectedHeader } = await jwtVerify(assertion, EmbeddedJWK, { audience })
    expect(protectedHeader).toEqual({ typ: 'ajwt-delegation+jwt', alg: 'ES256', jwk: expect.any(Object) })
    expect(Object.keys(protectedHeader.jwk ?? {}).sort()).toEqual(['crv', 'kty', 'x', 'y'])
    expect(await calculateJwkThumbprint(protectedHeader.jwk as JWK)).toBe(ids.supervisor.jkt)
    expect(claims).toEqual({
      iss: 'supervisor',
      sub: 'planner',
      cnf: { jkt: ids.planner.jkt },
      aud: audience,
      scope: 'a b',
      iat: expect.any(Number),
      exp: (claims.iat ?? 0) + 60,
      jti: expect.any(String),
    })
    expect(claims.iat).toBeGreaterThanOrEqual(before)
    const again = await supervisor.delegate(ids.planner, { scope: 'a', audience: [audience, 'urn:b'] })
    expect(payload(again).jti).not.toBe(claims.jti)
    expect(payload(again).aud).toEqual([audience, 'urn:b'])
    expect(payload(again).exp).toBe(Number(payload(again).iat) + 300)
  })

  it('goes on hop by hop, each bound to the one before, with workflow and intent', async () => {
    const { issuer, api, orders, supervisor, planner, worker, ids } = await agents()
    const grant = { scope: 'orders:read orders:refund', audience: [api.origin, 'urn:b'] }
    const first = await supervisor.startWorkflow('refund', { hash: HASH }).delegate(ids.planner, grant)
    const plan = await planner.acceptDelegation(first, { from: ids.supervisor })
    expect(plan.workflow).toBe('refund')
    const second = await plan.delegate(ids.worker, { scope: 'orders:refund', audience: api.origin })

    const [one, two, ...rest] = second.split(' ')
    expect([one, rest]).toEqual([first, []])
    expect(payload(one)).toMatchObject({
      iss: 'supervisor',
      sub: 'planner',
      workflow_id: 'refund',
      intent_hash: HASH,
    })
    expect(payload(two)).toMatchObject({
      iss: 'planner',
      sub: 'worker',
      aud: api.origin,
      scope: 'orders:refund',
      workflow_id: 'refund',
      intent_hash: HASH,
      prev: createHash('sha256').update(first).digest('base64url'),
      // No ttl: the time that was left.
      exp: payload(one).exp,
    })

    const work = await worker.acceptDelegation(second, {
      from: ids.planner,
      completedSteps: ['intake', 'review'],
    })
    const intent = { scope: 'orders:refund' }
    await work.step('issue', () => worker.fetch(orders, { method: 'POST', intent }))
    expect(issuer.requests[0]?.params).toMatchObject({
      agent_id: 'worker',
      delegation: second,
      workflow_id: 'refund',
      workflow_step: 'issue',
      completed_steps: 'intake review',
      intent_hash: HASH,
      scope: 'orders:refund',
    })
    expect(api.accepted[0]?.claims).toMatchObject({
      sub: 'worker',
      cnf: { jkt: ids.worker.jkt },
      intent: { initiated_by: 'supervisor', initiator_jkt: ids.supervisor.jkt, delegation: [one, two] },
    })
  })

  it('inside a step goes by what the step is part of', async () => {
    const { supervisor, planner, ids } = await agents()
    const run = supervisor.startWorkflow('refund')
    const first = await run.step('plan', () => supervisor.delegate(ids.planner, { scope: 'a', audience }))
    expect(payload(first).workflow_id).toBe('refund')
    const accepted = await planner.acceptDelegation(first, { from: ids.supervisor })
    // Not a chain of its own: an agent must not shed the limits that it works under.
    const second = await accepted.step('x', () => planner.delegate(ids.worker, { scope: 'a', audience }))
    expect(second.split(' ')).toHaveLength(2)
  })

  it('refuses to widen', async () => {
    const { supervisor, planner, ids } = await agents()
    const run = await planner.acceptDelegation(
      await supervisor.delegate(ids.planner, { scope: 'a b', ttl: 60, audience: [audience, 'urn:b'] }),
      { from: ids.supervisor },
    )
    const base = { scope: 'a', ttl: 30, audience }
    await run.delegate(ids.worker, base)
    expect(await code(run.delegate(ids.worker, { ...base, scope: 'a c' }))).toBe('delegation_scope_widened')
    expect(await code(run.delegate(ids.worker, { ...base, ttl: 61 }))).toBe('delegation_expired')
    expect(await code(run.delegate(ids.worker, { ...base, audience: [audience, 'urn:c'] }))).toBe(
      'delegation_context_mismatch',
    )
    expect(await code(run.delegate(ids.supervisor, base))).toBe('delegation_loop')
    expect(await code(run.delegate(ids.planner, base))).toBe('delegation_loop')
  })

  it('refuses to go deeper than it may', async () => {
    const { client, supervisor, ids } = await agents()
    const names = ['planner', 'b', 'c', 'd', 'e']
    const links = names.map((id) => client(id, { seed }))
    let chain = await supervisor.delegate(ids.planner, { scope: 'a', audience })
    let from = ids.supervisor
    for (const [i, link] of links.slice(0, 3).entries()) {
      const to = (await links[i + 1]?.identity()) as AgentIdentity
      chain = await (await link.acceptDelegation(chain, { from })).delegate(to, { scope: 'a', audience })
      from = await link.identity()
    }
    expect(chain.split(' ')).toHaveLength(4)
    const last = await links[3]?.acceptDelegation(chain, { from })
    const to = (await links[4]?.identity()) as AgentIdentity
    expect(await code(last?.delegate(to, { scope: 'a', audience }) as Promise<string>)).toBe(
      'delegation_too_deep',
    )
    const shallow = client('d', { seed, maxDepth: 3 })
    expect(await code(shallow.acceptDelegation(chain, { from }))).toBe('delegation_too_deep')
  })

  it('refuses itself, and what is no grant', async () => {
    const { supervisor, ids } = await agents()
    const base = { scope: 'a', audience }
    expect(await code(supervisor.delegate(ids.supervisor, base))).toBe('delegation_loop')
    const wrong: [unknown, unknown][] = [
      [undefined, base],
      [{ id: 'a|b', jkt: HASH }, base],
      [{ id: 'a', jkt: 'short' }, base],
      [ids.planner, undefined],
      [ids.planner, { audience }],
      [ids.planner, { scope: 'a' }],
      [ids.planner, { scope: 'a', audience: [] }],
      [ids.planner, { scope: 'a', audience: 'a b' }],
      [ids.planner, { ...base, ttl: 0 }],
      [ids.planner, { ...base, ttl: -5 }],
      [ids.planner, { ...base, ttl: 1.5 }],
      [ids.planner, { ...base, ttl: Number.POSITIVE_INFINITY }],
    ]
    for (const [to, grant] of wrong)
      await failure(supervisor.delegate(to as never, grant as never), TypeError)
  })

  it('is not older than the token or assertion before it, for any clock', async () => {
    const { client, supervisor, ids } = await agents()
    const first = await supervisor.delegate(ids.planner, { scope: 'a', audience })
    const slow = client('planner', { seed, now: () => Date.now() - 3000 })
    const run = await slow.acceptDelegation(first, { from: ids.supervisor })
    const second = await run.delegate(ids.worker, { scope: 'a', audience })
    expect(payload(second.split(' ')[1]).iat).toBe(payload(first).iat)
  })
})

describe('a run under a delegation', () => {
  it('requests nothing beyond it, and contacts no server', async () => {
    const { issuer, api, orders, client, supervisor, ids } = await agents()
    let now = Date.now()
    const planner = client('planner', { seed, now: () => now })
    const given = await supervisor
      .startWorkflow('refund', { hash: HASH })
      .delegate(ids.planner, { scope: 'a b', ttl: 60, audience: api.origin })
    const run = await planner.acceptDelegation(given, { from: ids.supervisor })
    const asked = (intent: object) => code(run.fetch(orders, { intent: { scope: 'a', ...intent } }))
    expect(await asked({ scope: 'a c' })).toBe('delegation_scope_widened')
    expect(await asked({ resource: 'urn:b' })).toBe('delegation_context_mismatch')
    await failure(run.fetch(orders, { intent: { scope: 'a', workflow: 'payout' } }), TypeError)
    now += 61_000
    expect(await asked({})).toBe('delegation_expired')
    expect(issuer.requests).toEqual([])
    now -= 61_000
    expect((await run.fetch(orders, { intent: { scope: 'b' } })).status).toBe(200)
  })

  it('of no workflow has no steps, and takes no workflow or intent on', async () => {
    const { api, orders, supervisor, planner, ids } = await agents()
    const run = await planner.acceptDelegation(
      await supervisor.delegate(ids.planner, { scope: 'a', audience: api.origin }),
      { from: ids.supervisor },
    )
    await failure(
      run.step('x', () => {}),
      TypeError,
    )
    for (const more of [{ workflow: 'refund' }, { hash: HASH }]) {
      const work = run.fetch(orders, { intent: { scope: 'a', ...more } })
      expect(await code(work)).toBe('delegation_context_mismatch')
    }
  })

  it('does not share its tokens with the same intent of its own', async () => {
    const { issuer, api, orders, supervisor, planner, ids } = await agents()
    const run = await planner.acceptDelegation(
      await supervisor.delegate(ids.planner, { scope: 'a', audience: api.origin }),
      { from: ids.supervisor },
    )
    await planner.fetch(orders, { intent: { scope: 'a' } })
    await run.fetch(orders, { intent: { scope: 'a' } })
    expect(issuer.requests.map(({ delegation }) => delegation.length)).toEqual([0, 1])
  })
})

/** Chains that this library would not make, signed with plain jose. */
async function forger(id: string) {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = await exportJWK(publicKey)
  const jkt = await calculateJwkThumbprint(jwk)
  const now = Math.floor(Date.now() / 1000)
  const sign = (to: AgentIdentity, claims: object = {}, header: object = {}) =>
    new SignJWT({
      iss: id,
      sub: to.id,
      cnf: { jkt: to.jkt },
      aud: audience,
      scope: 'a',
      iat: now,
      exp: now + 60,
      jti: crypto.randomUUID(),
      ...claims,
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'ajwt-delegation+jwt', jwk, ...header })
      .sign(privateKey)
  return { id, jkt, jwk, privateKey, sign }
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

describe('acceptDelegation', () => {
  it('takes a chain that was made elsewhere', async () => {
    const { planner, ids } = await agents()
    const [a, b] = [await forger('a'), await forger('b')]
    const first = await a.sign(b, { aud: [audience] })
    // Wider in audience than the first: of no use beyond it, and allowed.
    const second = await b.sign(ids.planner, { prev: sha256(first), aud: [audience, 'urn:x'] })
    await planner.acceptDelegation(`${first} ${second}`, { from: b })
  })

  it('refuses one that is not for this agent, or not for its key, or not from whom it should be', async () => {
    const { supervisor, planner, client, ids } = await agents()
    const given = await supervisor.delegate(ids.planner, { scope: 'a', audience })
    const from = (id: string, jkt: string) => planner.acceptDelegation(given, { from: { id, jkt } })
    const refused = [
      () => client('worker', { seed }).acceptDelegation(given, { from: ids.supervisor }),
      () => client('planner').acceptDelegation(given, { from: ids.supervisor }),
      () => from('boss', ids.supervisor.jkt),
      () => from('supervisor', ids.worker.jkt),
    ]
    for (const attempt of refused) expect(await code(attempt())).toBe('delegation_link_broken')
    // The last assertion alone says who made it: without a sender to expect, any agent's would do.
    for (const options of [undefined, {}, { from: { id: 'supervisor' } }])
      await failure(planner.acceptDelegation(given, options as never), TypeError)
    await from('supervisor', ids.supervisor.jkt)
  })

  it('refuses what is wrong with one assertion', async () => {
    const { planner, ids } = await agents()
    const a = await forger('a')
    const now = Math.floor(Date.now() / 1000)
    const cases: [Record<string, unknown>, string][] = [
      [{ iss: 'a|b' }, 'delegation_malformed'],
      [{ iss: undefined }, 'delegation_malformed'],
      [{ sub: 7 }, 'delegation_malformed'],
      [{ cnf: undefined }, 'delegation_malformed'],
      [{ cnf: null }, 'delegation_malformed'],
      [{ cnf: { jkt: 'short' } }, 'delegation_malformed'],
      [{ aud: undefined }, 'delegation_malformed'],
      [{ scope: ['a'] }, 'delegation_malformed'],
      [{ iat: undefined }, 'delegation_malformed'],
      [{ exp: '1' }, 'delegation_malformed'],
      [{ jti: '' }, 'delegation_malformed'],
      [{ workflow_id: '' }, 'delegation_malformed'],
      [{ intent_hash: 'x' }, 'delegation_malformed'],
      [{ prev: HASH }, 'delegation_link_broken'],
      [{ exp: now - 1 }, 'delegation_expired'],
      [{ iat: now + 30 }, 'delegation_expired'],
      [{ iss: 'planner' }, 'delegation_loop'],
    ]
    for (const [claims, expected] of cases) {
      const accepted = planner.acceptDelegation(await a.sign(ids.planner, claims), { from: a })
      expect([claims, await code(accepted)]).toEqual([claims, expected])
    }
  })

  it('refuses what is wrong with a header, a signature, or the whole text', async () => {
    const { planner, ids } = await agents()
    const [a, b] = [await forger('a'), await forger('b')]
    const good = await a.sign(ids.planner)
    const secretJwk = { kty: 'oct', k: 'AAAA' }
    const hmac = await new SignJWT(payload(good))
      .setProtectedHeader({ alg: 'HS256', typ: 'ajwt-delegation+jwt', jwk: secretJwk as JWK })
      .sign(new Uint8Array(3))
    const cases: [string, string][] = [
      [await a.sign(ids.planner, {}, { typ: 'JWT' }), 'delegation_malformed'],
      [await a.sign(ids.planner, {}, { jwk: undefined }), 'delegation_malformed'],
      [await a.sign(ids.planner, {}, { jwk: { ...a.jwk, d: HASH } }), 'delegation_malformed'],
      [await a.sign(ids.planner, {}, { jwk: b.jwk }), 'delegation_signature_invalid'],
      [hmac, 'delegation_malformed'],
      [`${good.slice(0, -4)}AAAA`, 'delegation_signature_invalid'],
      ['', 'delegation_malformed'],
      ['a.b.c', 'delegation_malformed'],
      [`${good} `, 'delegation_malformed'],
      [`x${'a'.repeat(9000)}`, 'delegation_malformed'],
      [await a.sign(ids.planner, { pad: 'x'.repeat(6000) }), 'delegation_malformed'],
      [Array(5).fill(good).join(' '), 'delegation_too_deep'],
      // Counted before anything is read.
      ['x x x x x', 'delegation_too_deep'],
    ]
    const accept = (text: string) => planner.acceptDelegation(text, { from: a })
    for (const [text, expected] of cases) expect(await code(accept(text))).toBe(expected)
    expect(await code(accept(undefined as never))).toBe('delegation_link_broken')
    await accept(good)
  })

  it('refuses hops that do not follow from each other', async () => {
    const { planner, ids } = await agents()
    const [a, b, c] = [await forger('a'), await forger('b'), await forger('c')]
    const first = await a.sign(b, {
      workflow_id: 'w',
      intent_hash: HASH,
      exp: Math.floor(Date.now() / 1000) + 50,
    })
    const { exp, jti } = payload(first)
    const context = { workflow_id: 'w', intent_hash: HASH, prev: sha256(first), exp }
    const cases: [string, string][] = [
      [await b.sign(ids.planner, { ...context, prev: undefined }), 'delegation_link_broken'],
      [await b.sign(ids.planner, { ...context, prev: sha256('other') }), 'delegation_link_broken'],
      [await c.sign(ids.planner, context), 'delegation_link_broken'],
      [await c.sign(ids.planner, { ...context, iss: 'b' }), 'delegation_link_broken'],
      [await b.sign(ids.planner, { ...context, iss: 'c' }), 'delegation_link_broken'],
      [await b.sign(ids.planner, { ...context, scope: 'a b' }), 'delegation_scope_widened'],
      [await b.sign(ids.planner, { ...context, exp: Number(exp) + 1 }), 'delegation_expired'],
      [await b.sign(ids.planner, { ...context, iat: Number(payload(first).iat) - 1 }), 'delegation_expired'],
      [await b.sign(ids.planner, { ...context, workflow_id: undefined }), 'delegation_context_mismatch'],
      [await b.sign(ids.planner, { ...context, intent_hash: 'i'.repeat(43) }), 'delegation_context_mismatch'],
      [await b.sign({ ...ids.planner, id: 'a' }, context), 'delegation_loop'],
      [await b.sign(ids.planner, { ...context, jti }), 'delegation_loop'],
    ]
    for (const [second, expected] of cases) {
      expect(await code(planner.acceptDelegation(`${first} ${second}`, { from: b }))).toBe(expected)
    }
    await planner.acceptDelegation(`${first} ${await b.sign(ids.planner, context)}`, { from: b })
  })
})

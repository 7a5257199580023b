import { describe, expect, it } from 'vitest'
import { shapes } from '../../fixtures/issuers/index.js'
import type { Shape } from '../../fixtures/issuers/shape.js'
import { PolicyError } from '../../src/index.js'
import { knownServerSources } from '../../src/policy/known-server-sources.js'
import { type KnownServerName, knownServers } from '../../src/policy/known-servers.js'
import { honestShape, likeEntry, mint, policyFor, present } from '../support/shapes.js'
import { outcomeOf } from '../support/verify.js'

/** The code of a refusal, `allow`, or `PolicyError` where the policy is refused. */
async function outcome(shape: Shape, issuer = shape.issuer, token?: string): Promise<string> {
  try {
    return outcomeOf(await present(shape, policyFor(shape, issuer), token))
  } catch (error) {
    if (error instanceof PolicyError) return 'PolicyError'
    throw error
  }
}

async function grantOf(shape: Shape, issuer = shape.issuer) {
  const decision = await present(shape, policyFor(shape, issuer))
  if (decision.outcome !== 'allow') throw new Error(`${shape.name}: ${outcomeOf(decision)}`)
  return decision.grant
}

const accepted = shapes.filter(({ expect: outcome }) => outcome === 'allow')
const known = shapes.filter(({ like }) => like !== undefined)
const each = (some: readonly Shape[]) => some.map((shape): [string, Shape] => [shape.name, shape])

describe('tokens as authorization servers issue them', () => {
  it.each(each(shapes))('%s under the policy for it', async (_, shape) => {
    expect(await outcome(shape)).toBe(shape.expect)
  })

  it.each(each(known))('%s under the name of its server', async (_, shape) => {
    expect(await outcome(shape, likeEntry(shape))).toBe(shape.expect)
  })

  it.each(each(accepted))('%s: scope, agent and subject are found', async (_, shape) => {
    const grant = await grantOf(shape)
    const wanted = [shape.rule.scope ?? []].flat()
    expect(grant.scopes).toEqual(expect.arrayContaining(wanted as string[]))
    expect(grant.agent.id).toBe(shape.agent ?? shape.claims.sub ?? shape.claims.client_id)
    expect(grant.issuer).toBe(shape.claims.iss)
    if (shape.like === undefined) return
    const { token, ...sameGrant } = grant
    expect(await grantOf(shape, likeEntry(shape))).toMatchObject({
      ...sameGrant,
      token: { expiresAt: token.expiresAt },
    })
  })

  it.each(each(accepted))('%s without the scope that the rule asks for', async (_, shape) => {
    const rule = { ...shape.rule, scope: 'orders:of-everybody' }
    expect(await outcome({ ...shape, rule })).toBe('scope_insufficient')
  })
})

const names = Object.keys(knownServers) as KnownServerName[]

describe.each(names)('like: %s', (name) => {
  const shape = honestShape(name)
  const under = (header: Record<string, unknown>, claims: Record<string, unknown>) => {
    const token = mint({ header: { ...shape.header, ...header }, claims })
    return outcome(shape, likeEntry(shape), token)
  }

  it('accepts the access token of an honest client', async () => {
    expect(await outcome(shape, likeEntry(shape))).toBe('allow')
  })

  /**
   * An ID token has what OpenID Connect Core section 2 gives it, and what the server adds to every token is
   * not in it.
   */
  const idToken = {
    iss: shape.claims.iss,
    sub: shape.claims.sub ?? 'ada',
    aud: shape.audience,
    iat: shape.claims.iat,
    exp: shape.claims.exp,
    auth_time: shape.claims.iat,
    jti: 'an-id-token',
    email: 'ada@example.com',
  }
  const ofTypes = [undefined, 'JWT']

  it.each(ofTypes)('refuses an ID token of type %s by its nonce and its hashes', async (typ) => {
    for (const mark of [{ nonce: 'n-0S6_WzA2Mj' }, { at_hash: 'x' }, { c_hash: 'x' }, { s_hash: 'x' }]) {
      // The marks alone decide, without the other claims of the server's access tokens.
      expect(await under({ typ }, { ...shape.claims, ...mark })).toBe('token_type_not_allowed')
    }
  })

  it.each(ofTypes)('refuses an ID token of type %s that has none of these', async (typ) => {
    const { profile } = knownServers[name]
    const tells = 'claims' in knownServers[name]
    if (profile === 'ajwt' && acceptsType(name, typ))
      expect(await under({ typ }, idToken)).toBe('claims_invalid')
    else if (tells || !acceptsType(name, typ))
      expect(await under({ typ }, idToken)).toBe('token_type_not_allowed')
    // If only the audience tells them apart: that of an ID token is the client.
    else expect(await under({ typ }, { ...idToken, aud: 'the-client' })).toBe('audience_mismatch')
  })

  it.each(ofTypes)('refuses a logout token of type %s', async (typ) => {
    const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
    expect(await under({ typ }, { ...shape.claims, events })).toBe('token_type_not_allowed')
    expect(await under({ typ: 'logout+jwt' }, { ...shape.claims, events })).toBe('token_type_not_allowed')
  })

  it.each([
    'oauth-id-jag+jwt',
    'dpop+jwt',
    'ajwt-delegation+jwt',
    'secevent+jwt',
    'kb+jwt',
    'client-authentication+jwt',
  ])('refuses what is of type %s, with the claims of an access token', async (typ) => {
    expect(await under({ typ }, { ...shape.claims })).toBe('token_type_not_allowed')
  })

  it('refuses an assertion of a client, which is its own issuer', async () => {
    const client = { iss: 'orders-agent', sub: 'orders-agent' }
    expect(await under({}, { ...shape.claims, ...client })).toBe('issuer_not_trusted')
  })

  it('refuses a token that is valid for longer than the server issues them', async () => {
    const { maxLifetime } = knownServers[name].token
    const exp = Number(shape.claims.iat) + maxLifetime + 1
    expect(await under({}, { ...shape.claims, exp })).toBe('token_lifetime_exceeded')
  })
})

/** Whether the table takes tokens of this `typ` from the server. */
function acceptsType(name: KnownServerName, typ: string | undefined): boolean {
  const types: readonly string[] = knownServers[name].token.types
  return types.includes(typ ?? 'none')
}

describe('the table of known servers', () => {
  it('has a row of the shapes for each, and an https address as its source', () => {
    for (const name of names) expect(honestShape(name).like).toBe(name)
    for (const source of Object.values(knownServerSources)) expect(new URL(source).protocol).toBe('https:')
  })
})

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { delegatedToken, mintChain, shortHash } from '../../../fixtures/delegation-kit.js'
import { createKit, ISSUER, issuerJwks, type Kit } from '../../../fixtures/kit.js'
import { createMiddlewareCore, createRuleMiddleware } from '../../../middleware/core.js'
import { createVerifier, type Policy, PolicyError, type RouteRule } from '../../../src/index.js'
import { verifierFor } from '../../support/verify.js'

const OTHER = 'https://other.example.com'
const both = [ISSUER, OTHER].map((url) => ({ url, jwks: issuerJwks() }))

/** The default policy's request, once with a token of each issuer. */
async function outcomes(kit: Kit, policy: Partial<Policy>, claims: object = {}): Promise<string[]> {
  const { outcome } = verifierFor(kit, { issuer: both, ...policy })
  const ask = (iss: string) => outcome(kit.call({ token: { claims: { iss, ...claims } } }))
  return [await ask(ISSUER), await ask(OTHER)]
}

const route = (rule: RouteRule): Partial<Policy> => ({ routes: { 'GET /orders/:id': rule } })

describe('with several issuers, the same agent id at another issuer is another agent', () => {
  test('in the agents of a rule', async () => {
    const rule = { agents: [`${ISSUER} agent-7`, `${OTHER} agent-8`] }
    expect(await outcomes(createKit(), route(rule))).toEqual(['allow', 'agent_not_allowed'])
  })

  test("in the policy's agents", async () => {
    const agents = { [`${OTHER} agent-7`]: { registrationIds: ['r-other'] } }
    expect(await outcomes(createKit(), { agents })).toEqual(['allow', 'agent_not_allowed'])
  })

  test('in initiators', async () => {
    const rule = { delegation: { initiators: [`${OTHER} agent-7`] } }
    const intent = createKit().intent({ initiated_by: 'agent-7' })
    expect(await outcomes(createKit(), route(rule), { intent })).toEqual(['delegation_not_allowed', 'allow'])
  })

  test('in a listed chain', async () => {
    const kit = createKit()
    const intent = kit.intent({
      initiated_by: 'planner',
      delegation_chain: shortHash('planner', 'agent-7'),
    })
    const rule = { delegation: { chains: [[`${ISSUER} planner`, `${ISSUER} agent-7`]] } }
    expect(await outcomes(kit, route(rule), { intent })).toEqual(['allow', 'delegation_not_allowed'])
  })

  test('in a signed chain that must be listed', async () => {
    for (const [issuer, expected] of [
      [ISSUER, 'allow'],
      [OTHER, 'delegation_not_allowed'],
    ] as const) {
      const kit = createKit()
      const ids = ['supervisor', 'planner', 'researcher', 'agent-7']
      const rule = { delegation: { chains: [ids.map((id) => `${issuer} ${id}`)] } }
      const { outcome } = verifierFor(kit, { issuer: both, ...route(rule) })
      expect(await outcome(kit.call({ token: delegatedToken(kit, await mintChain(kit)) }))).toBe(expected)
    }
  })

  test('ids can contain spaces: the first one ends the issuer', async () => {
    const claims = { sub: 'agent 7', intent: createKit().intent({ executed_by: 'agent 7' }) }
    const rule = { agents: [`${OTHER} agent 7`] }
    expect(await outcomes(createKit(), route(rule), claims)).toEqual(['agent_not_allowed', 'allow'])
  })
})

function issuesOf(policy: Partial<Policy>): Record<string, string> {
  try {
    createVerifier({ ...defaultPolicy(), ...policy })
  } catch (error) {
    if (error instanceof PolicyError)
      return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]))
    throw error
  }
  return {}
}

const place = (path: string) => `routes["GET /orders/:id"].${path}`

describe('an id without its issuer', () => {
  test.each<[what: string, policy: Partial<Policy>, path: string]>([
    ['in agents', route({ agents: ['agent-7'] }), place('agents[0]')],
    [
      'in initiators',
      route({ delegation: { initiators: [`${ISSUER} a`, 'agent-7'] } }),
      place('delegation.initiators[1]'),
    ],
    [
      'in a chain',
      route({ delegation: { chains: [[`${ISSUER} a`, 'agent-7']] } }),
      place('delegation.chains[0][1]'),
    ],
    ["in the policy's agents", { agents: { 'agent-7': { checksums: ['x'] } } }, 'agents["agent-7"]'],
    [
      'of an issuer that the policy does not have',
      route({ agents: ['https://third.example.com a'] }),
      place('agents[0]'),
    ],
    ['with two spaces', route({ agents: [`${ISSUER}  agent-7`] }), place('agents[0]')],
    ['with no id', route({ agents: [`${ISSUER} `] }), place('agents[0]')],
  ])('%s is a PolicyError that says how to write it', (_, policy, path) => {
    expect(issuesOf({ issuer: both, ...policy })[path]).toContain('"<issuer> <id>" with one space')
  })

  test('an issuer with a typo is named', () => {
    const issues = issuesOf({ issuer: both, ...route({ agents: ['https://othr.example.com a'] }) })
    expect(issues[place('agents[0]')]).toContain(`did you mean "${OTHER}"?`)
  })

  test('a chain of two issuers is a PolicyError', () => {
    const issues = issuesOf({
      issuer: both,
      ...route({ delegation: { chains: [[`${ISSUER} a`, `${OTHER} b`]] } }),
    })
    expect(issues[place('delegation.chains[0]')]).toContain('agents of several issuers')
  })

  test('with one issuer, the id is written alone, and the message shows it', () => {
    expect(issuesOf(route({ agents: [`${ISSUER} agent-7`] }))).toEqual({
      [place('agents[0]')]: 'must be the id alone, "agent-7": the policy has one issuer',
    })
    expect(issuesOf(route({ agents: [`${OTHER} agent-7`, 'agent 7', 'agent-7'] }))).toEqual({
      [place('agents[0]')]: 'must be the id alone, "agent-7": the policy has one issuer',
    })
  })
})

describe('a requireIntent with names that the policy does not have', () => {
  const warnings: (Error & { code?: string })[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'AJWT_RULE') warnings.push(warning)
  }
  beforeEach(() => {
    warnings.length = 0
    process.on('warning', listen)
  })
  afterEach(() => {
    process.off('warning', listen)
  })

  test.each<[what: string, policy: Partial<Policy>, rule: RouteRule, named: string]>([
    ['an id without its issuer', { issuer: both }, { agents: ['agent-7'] }, 'agents[0]'],
    [
      'a workflow that is not listed',
      { workflows: { refund: { steps: ['issue'] } } },
      { intent: { workflow: 'refnud' } },
      'did you mean "refund"?',
    ],
    [
      'a step that the workflow has not',
      { workflows: { refund: { steps: ['issue'] } } },
      { intent: { workflow: 'refund', step: 'isue' } },
      'did you mean "issue"?',
    ],
  ])('%s: every request is refused, and one warning says why', async (_, policy, rule, named) => {
    const kit = createKit()
    const routes = { 'GET /orders/:id': 'authenticated' } as const
    const core = createMiddlewareCore(
      createVerifier({ ...defaultPolicy(), ...policy, routes }, { now: () => kit.now }),
    )
    const ruleGate = createRuleMiddleware(rule)
    for (let request = 0; request < 2; request++) {
      const { method, url, headers } = kit.call()
      const source = {}
      const passage = await core.pass(source, { method, url, headers: new Headers([...headers] as never) })
      expect(passage.kind).toBe('continue')
      expect(await ruleGate(source, { id: '42' })).toMatchObject({
        kind: 'answer',
        denial: { code: 'internal_error', status: 503, stage: 'rule' },
      })
    }
    await new Promise((resolve) => setImmediate(resolve))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.message).toContain(named)
  })
})

import { expect, test } from 'vitest'
import { requireIntent } from '../../../middleware/express.js'
import { createVerifier, type HandlerRule, PolicyError } from '../../../src/index.js'
import { parseMcpRules } from '../../../src/mcp/rules.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer()
const base = { issuer: issuer.policyIssuer, audience: issuer.audience }

function problemOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(PolicyError)
    return String(error)
  }
  throw new Error('nothing was thrown')
}

test('a route of a policy has no body, query or digest, and the message says where they belong', () => {
  for (const key of ['body', 'query', 'digest']) {
    const routes = { 'POST /refunds': { scope: 'refunds', [key]: true } }
    const problem = problemOf(() => createVerifier({ ...base, routes } as never))
    expect(problem).toContain(`routes["POST /refunds"].${key}: is for requireIntent and checkIntent`)
  }
})

test('arguments belong to tools, and the rule of a tool has no body', () => {
  const routes = { 'POST /refunds': { arguments: {} } }
  const inRoute = problemOf(() => createVerifier({ ...base, routes } as never))
  expect(inRoute).toContain('routes["POST /refunds"].arguments: is for the tools of an MCP server')
  expect(problemOf(() => requireIntent({ arguments: {} } as never))).toContain(
    'is for the tools of an MCP server',
  )
  const rules = { tools: { refund: { body: { '/amount': { max: 1 } } } } }
  expect(problemOf(() => parseMcpRules(rules))).toContain(
    'tools.refund.body: is for requireIntent: write arguments',
  )
})

test.for<[rule: object, problem: RegExp]>([
  [{ bdy: {} }, /bdy: is not a key here.*body/],
  [{ body: { amount: { max: 1 } } }, /body\.amount: must be a JSON pointer/],
  [{ body: { '/amount': { maximum: 1 } } }, /body\["\/amount"\]\.maximum: is not a key here/],
  [{ body: { '/amount': { param: 'id' } } }, /body\["\/amount"\]\.param: is not a key here/],
  [{ body: { '/amount': {} } }, /must have at least one constraint/],
  [{ body: undefined }, /body: is undefined/],
  [{ query: { amount: { max: '1' } } }, /query\.amount\.max: must be a number/],
  [{ query: { '': { max: 1 } } }, /must not be empty/],
  [{ query: { '[]': { max: 1 } } }, /must be the name of a query parameter/],
  [{ digest: 'sha-256' }, /digest: must be true, or \{ type \} of authorization_details/],
  [{ digest: { typ: 'refund' } }, /digest\.typ: is not a key here/],
  [{ digest: undefined }, /digest: is undefined/],
])('the rule %j is wrong', ([rule, problem]) => {
  expect(problemOf(() => requireIntent(rule as HandlerRule<unknown>))).toMatch(problem)
})

test('verifier.check, which has no request, takes no rule on its content', async () => {
  const verifier = createVerifier({ ...base, routes: { 'POST /refunds': 'authenticated' } })
  const url = '/refunds'
  const decision = await verifier.verify({
    method: 'POST',
    url,
    headers: { ...issuer.headers({ method: 'POST', url }) },
  })
  expect(decision.outcome).toBe('allow')
  for (const rule of [{ body: { '/a': { max: 1 } } }, { query: {} }, { digest: true }]) {
    await expect(verifier.check(decision, rule as never)).rejects.toThrow(
      /needs the request: use checkIntent/,
    )
  }
})

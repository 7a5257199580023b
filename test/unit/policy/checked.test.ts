import { expect, test } from 'vitest'
import { emitPolicy } from '../../../src/compile/emit-policy.js'
import { checkedPolicy, createVerifier, PolicyError } from '../../../src/index.js'
import * as checkedParser from '../../../src/policy/parse-checked.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer()
const policy = {
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
}

/** The arguments of `checkedPolicy` in an emitted module. */
function emitted(source: string): Parameters<typeof checkedPolicy> {
  const call = /^export default checkedPolicy\(\n([\s\S]*),\n\)$/m.exec(source)?.[1]
  return JSON.parse(`[${call}]`)
}

test('an emitted policy is the policy, frozen', async () => {
  const checked = checkedPolicy(...emitted(emitPolicy(policy)))
  expect(JSON.parse(JSON.stringify(checked))).toEqual(policy)
  expect(Object.isFrozen(checked.routes)).toBe(true)
  const request = {
    method: 'GET',
    url: '/orders/7',
    headers: issuer.headers({ url: '/orders/7', scope: 'orders:read' }),
  }
  expect(await createVerifier(checked).verify(request)).toMatchObject({ outcome: 'allow' })
  expect(checkedParser.parsePolicy(checked)).toMatchObject({ data: policy, routeKeys: ['GET /orders/:id'] })
})

test('a wrong policy is not emitted', () => {
  expect(() => emitPolicy({ ...policy, routes: { 'GET /x': { scpoe: 'x' } as never } })).toThrow(PolicyError)
})

test('a policy that was changed since is refused, and one that another version has checked', () => {
  const [version, digest, data] = emitted(emitPolicy(policy))
  const opened = { ...data, routes: { ...data.routes, 'GET /admin': 'public' as const } }
  expect(() => checkedPolicy(version, digest, opened)).toThrow(/was changed after it was checked: run/)
  expect(() => checkedPolicy('0.0.1', digest, data)).toThrow(/was checked by ajwt 0\.0\.1, and this is/)
})

test('without a schema, everything that is not checked is refused', () => {
  expect(() => checkedParser.parsePolicy(policy)).toThrow(/is not checked: pass the module/)
  const checked = checkedPolicy(...emitted(emitPolicy(policy)))
  // A copy is another policy: nobody knows what was changed in it.
  expect(() => checkedParser.parsePolicy({ ...checked })).toThrow(/is not checked/)
  expect(() => checkedParser.parsePolicy(undefined)).toThrow(/is not checked/)
  expect(() => checkedParser.parseRule({ scope: 'orders:read' })).toThrow(/write the rule in routes/)
  expect(() => checkedParser.parseIssuer('https://as.example.com')).toThrow(/resolveIssuer cannot be used/)
})

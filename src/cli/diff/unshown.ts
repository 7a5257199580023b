import { compilePolicy } from '../../compile/compile-policy.js'
import { toArray } from '../../lib/to-array.js'
import type { Limit, Policy } from '../../policy/policy.js'
import type { Change } from './change.js'

/** What one request alone does not show: uses of one token or proof, algorithms, clocks. */
export function findUnshown(before: Policy, after: Policy): Change[] {
  return [
    ...onceChanges(before, after),
    ...limitChanges(before, after),
    ...numberChanges(before, after),
    ...algorithmChanges(before, after),
  ]
}

const change = (
  isWeaker: boolean,
  request: string,
  by: string,
  key: string,
  was: string,
  is: string,
): Change => ({
  effect: isWeaker ? 'weaker' : 'stricter',
  request,
  by,
  before: { verdict: was, key },
  after: { verdict: is, key },
})

function onceChanges(before: Policy, after: Policy): Change[] {
  return Object.keys(after.routes).flatMap((key) => {
    const [was, is] = [before, after].map(({ routes }) => {
      const access = routes[key]
      return access === undefined ? undefined : typeof access === 'object' && access.once === true
    })
    if (was === undefined || was === is) return []
    const words = (once: boolean | undefined) => (once ? 'token_reused' : 'allow')
    return [change(was, key, 'with a token that was used before', key, words(was), words(is))]
  })
}

function limitChanges(before: Policy, after: Policy): Change[] {
  return Object.keys(after.routes).flatMap((key) => {
    const [was, is] = [limitsOf(before, key), limitsOf(after, key)]
    if (was === undefined || is === undefined) return []
    const looser = was.filter((limit) => !is.some((other) => isAtLeastAsStrict(other, limit)))
    const tighter = is.filter((limit) => !was.some((other) => isAtLeastAsStrict(other, limit)))
    return [
      ...looser.map((limit) => change(true, key, beyond(limit), key, 'limit_exceeded', 'allow')),
      ...tighter.map((limit) => change(false, key, beyond(limit), key, 'allow', 'limit_exceeded')),
    ]
  })
}

/** Undefined where the policy does not have the key. */
function limitsOf({ routes }: Policy, key: string): readonly Limit[] | undefined {
  const access = routes[key]
  if (access === undefined) return undefined
  return typeof access === 'object' && access.limit !== undefined ? toArray<Limit>(access.limit) : []
}

function isAtLeastAsStrict(limit: Limit, other: Limit): boolean {
  const { per, name, max, window = Number.POSITIVE_INFINITY } = limit
  const { window: otherWindow = Number.POSITIVE_INFINITY } = other
  if (per !== other.per || name !== other.name || window < otherWindow) return false
  return max === other.max || (typeof max === 'number' && typeof other.max === 'number' && max < other.max)
}

function beyond({ per, max, window }: Limit): string {
  const time = window === undefined ? '' : ` within ${window} s`
  return `after ${typeof max === 'number' ? max : `as many as ${max} says`} for one ${per}${time}`
}

function numberChanges(before: Policy, after: Policy): Change[] {
  const numbers = (policy: Policy) => {
    const { token, proof } = compilePolicy(policy)
    return { 'token.clockTolerance': token.clockTolerance, 'proof.nonce': proof.nonce === 'required' ? 0 : 1 }
  }
  const [was, is] = [numbers(before), numbers(after)]
  const changes: Change[] = []
  if (was['token.clockTolerance'] !== is['token.clockTolerance']) {
    const isWeaker = is['token.clockTolerance'] > was['token.clockTolerance']
    const seconds = Math.max(was['token.clockTolerance'], is['token.clockTolerance'])
    const by = `with a token that expired ${seconds} s ago, at most`
    const [denied, allowed] = ['token_expired', 'allow']
    changes.push(
      change(
        isWeaker,
        'every request',
        by,
        'token.clockTolerance',
        isWeaker ? denied : allowed,
        isWeaker ? allowed : denied,
      ),
    )
  }
  if (was['proof.nonce'] !== is['proof.nonce']) {
    const isWeaker = is['proof.nonce'] > was['proof.nonce']
    const [denied, allowed] = ['proof_nonce_required', 'allow']
    changes.push(
      change(
        isWeaker,
        'every request',
        'with a proof without nonce',
        'proof.nonce',
        isWeaker ? denied : allowed,
        isWeaker ? allowed : denied,
      ),
    )
  }
  return changes
}

function algorithmChanges(before: Policy, after: Policy): Change[] {
  const [was, is] = [compilePolicy(before), compilePolicy(after)]
  const issuers = [...is.issuers.values()].flatMap((issuer) => {
    const earlier = was.issuers.get(issuer.name)
    if (earlier === undefined) return []
    const by = (name: string) => `with a token of ${issuer.name} signed with ${name}`
    return compareSets(
      [...earlier.token.algorithms.keys()],
      [...issuer.token.algorithms.keys()],
      'token.algorithms',
      by,
      'algorithm_not_allowed',
    )
  })
  const proofs = compareSets(
    [...was.proof.algorithms.keys()],
    [...is.proof.algorithms.keys()],
    'proof.algorithms',
    (name) => `with a proof signed with ${name}`,
    'proof_algorithm_not_allowed',
  )
  return [...issuers, ...proofs]
}

function compareSets(
  was: readonly string[],
  is: readonly string[],
  key: string,
  by: (name: string) => string,
  code: string,
): Change[] {
  return [
    ...is
      .filter((name) => !was.includes(name))
      .map((name) => change(true, 'every request', by(name), key, code, 'allow')),
    ...was
      .filter((name) => !is.includes(name))
      .map((name) => change(false, 'every request', by(name), key, 'allow', code)),
  ]
}

import { compilePolicy } from '../../compile/compile-policy.js'
import type { Policy } from '../../policy/policy.js'
import type { Change } from './change.js'

/** What one request alone does not show: uses of one token or proof, algorithms, clocks. */
export function findUnshown(before: Policy, after: Policy): Change[] {
  return [...onceChanges(before, after), ...numberChanges(before, after), ...algorithmChanges(before, after)]
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
      const access = routes[key as keyof Policy['routes']]
      return access === undefined ? undefined : typeof access === 'object' && access.once === true
    })
    if (was === undefined || was === is) return []
    const words = (once: boolean | undefined) => (once ? 'token_reused' : 'allow')
    return [change(was, key, 'with a token that was used before', key, words(was), words(is))]
  })
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

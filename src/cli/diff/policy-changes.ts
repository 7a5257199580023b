import { type CompiledPolicy, compilePolicy } from '../../compile/compile-policy.js'
import { isObject } from '../../lib/objects.js'
import type { CompiledIssuer, Pointer } from '../../policy/issuer.js'
import type { Policy } from '../../policy/policy.js'
import { issuersOf, nameOf } from '../issuers.js'
import { type Change, compareNumbers, compareSets } from './change.js'

const every = 'every request'

/** Differences between the policies that no example shows: keys, algorithms, clocks, pointers of claims. */
export function comparePolicies(before: Policy, after: Policy): Change[] {
  const [was, is] = [compilePolicy(before), compilePolicy(after)]
  const issuers = [...is.issuers.values()].flatMap((issuer) => {
    const earlier = was.issuers.get(issuer.name)
    return earlier === undefined
      ? []
      : [...compareIssuers(earlier, issuer), ...compareKeys(before, after, issuer.name)]
  })
  return [...compareProofs(was, is), ...issuers, ...comparePreflight(was, is), ...compareHttp(before, after)]
}

function compareProofs({ proof: was, publicUrls }: CompiledPolicy, is: CompiledPolicy): Change[] {
  return [
    ...compareSets(was.algorithms.keys(), is.proof.algorithms.keys(), (name) => ({
      request: every,
      by: `with a proof signed with ${name}`,
      keys: both('proof.algorithms'),
      denied: 'proof_algorithm_not_allowed',
    })),
    ...compareNumbers(was.nonce === 'required' ? 0 : 1, is.proof.nonce === 'required' ? 0 : 1, () => ({
      request: every,
      by: 'with a proof without nonce',
      keys: both('proof.nonce'),
      denied: 'proof_nonce_required',
    })),
    ...compareSets(publicUrls, is.publicUrls, (url) => ({
      request: every,
      by: `with a proof for ${url}`,
      keys: both('publicUrl'),
      denied: 'proof_uri_mismatch',
    })),
  ]
}

function comparePreflight(was: CompiledPolicy, is: CompiledPolicy): Change[] {
  return compareNumbers(Number(was.preflight), Number(is.preflight), () => ({
    request: 'OPTIONS of every declared path',
    by: 'as a CORS preflight, without credentials',
    keys: both('preflight'),
    denied: 'credentials_missing',
    allowed: 'public',
  }))
}

function compareHttp(before: Policy, after: Policy): Change[] {
  const hostsOf = ({ allowInsecureHttp = [] }: Policy) =>
    typeof allowInsecureHttp === 'boolean' ? (allowInsecureHttp ? ['every host'] : []) : allowInsecureHttp
  return compareSets(hostsOf(before), hostsOf(after), (host) => ({
    request: every,
    by: `with a token signed by a key that came over http from ${host}`,
    keys: both('allowInsecureHttp'),
    denied: 'keys_unavailable',
  }))
}

function compareIssuers(was: CompiledIssuer, is: CompiledIssuer): Change[] {
  const { name } = is
  return [
    ...compareSets(was.token.algorithms.keys(), is.token.algorithms.keys(), (algorithm) => ({
      request: every,
      by: `with a token of ${name} signed with ${algorithm}`,
      keys: both('token.algorithms'),
      denied: 'algorithm_not_allowed',
    })),
    ...compareNumbers(was.token.clockTolerance, is.token.clockTolerance, (seconds) => ({
      request: every,
      by: `with a token of ${name} that expired ${seconds} s ago, at most`,
      keys: both('token.clockTolerance'),
      denied: 'token_expired',
    })),
    ...compareNumbers(was.keys.maxAge, is.keys.maxAge, (seconds) => ({
      request: every,
      by: `with a token of ${name}, signed by a key that was withdrawn ${seconds} s ago, at most`,
      keys: both('issuer.keys.maxAge'),
      denied: 'key_not_found',
    })),
    ...compareNumbers(was.keys.maxStale, is.keys.maxStale, (seconds) => ({
      request: every,
      by: `with a token of ${name}, whose keys cannot be fetched for ${seconds} s, at most`,
      keys: both('issuer.keys.maxStale'),
      denied: 'keys_unavailable',
    })),
    ...compareSets([fieldOf(was)], [fieldOf(is)], (field) => ({
      request: every,
      by: `with a token of ${name} in the field ${field}`,
      keys: both('issuer.header'),
      denied: 'issuer_not_trusted',
    })),
    ...compareSources(was, is),
  ]
}

function fieldOf({ header = 'authorization' }: CompiledIssuer): string {
  return header
}

/** A token means something else where a claim is read elsewhere: some get in, and others no more. */
function compareSources({ sources: was }: CompiledIssuer, { sources: is, name }: CompiledIssuer): Change[] {
  return (['scope', 'id', 'agent', 'audience', 'subject'] as const).flatMap((part) =>
    compareSets([placesOf(was[part])], [placesOf(is[part])], (places) => ({
      request: every,
      by: `with a token of ${name} that has its ${part} at ${places}`,
      keys: both(`issuer.read.${part}`),
      denied: 'claims_invalid',
    })),
  )
}

function placesOf(source: Pointer | readonly Pointer[] | 'hash' | undefined): string {
  if (source === undefined) return 'the place of its subject'
  if (source === 'hash') return 'its hash'
  const pointers = source.every((part) => typeof part === 'string')
    ? [source]
    : (source as readonly Pointer[])
  return pointers.map((pointer) => `/${pointer.join('/')}`).join(' or ')
}

/** The keys that an issuer's tokens are verified with: by value where the policy has them, else by place. */
function compareKeys(before: Policy, after: Policy, name: string): Change[] {
  const [was, is] = [keysOf(before, name), keysOf(after, name)]
  return compareSets(was, is, (key) => ({
    request: every,
    by: `with a token of ${name} signed by ${key}`,
    keys: both('issuer'),
    denied: 'key_not_found',
  }))
}

function keysOf(policy: Policy, name: string): readonly string[] {
  const entry = issuersOf(policy).find(([, candidate]) => nameOf(candidate) === name)?.[1]
  if (entry?.jwks !== undefined) return entry.jwks.keys.filter(isObject).map(nameOfKey)
  return [entry?.jwksUri === undefined ? 'a key that its metadata names' : `a key of ${entry.jwksUri}`]
}

/** The kid, and enough of the key to tell another one of that kid apart. */
function nameOfKey({ kid, x, n }: Readonly<Record<string, unknown>>): string {
  return `the key ${JSON.stringify(kid ?? 'without kid')} (${String(x ?? n).slice(0, 8)}…)`
}

const both = (key: string) => [key, key] as const

import type { Algorithm } from '../jws/algorithms.js'
import type { SignatureCheck } from '../jws/public-key.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { type CheckObserver, describe, isRefusal, Refusal } from '../refusal.js'
import type { IssuerKey } from './issuer-key.js'
import type { IssuerKeys } from './issuer-keys.js'

/** A signature, and the key that the header of its token names. */
export interface SignedInput {
  readonly kid: string | undefined
  readonly algorithm: Algorithm
  /** The signing input. */
  readonly input: string
  /** Canonical base64url. */
  readonly signature: string
}

/**
 * Finds the key of the issuer that made a signature. Denies with `signature_invalid`, or as `IssuerKeys.find`
 * does.
 */
export function findSigner(
  keys: IssuerKeys,
  signed: SignedInput,
  isSignedBy: SignatureCheck,
  observer?: CheckObserver,
): MaybePromise<IssuerKey | Refusal> {
  const { kid, algorithm } = signed
  observer?.begin('key', `a key of the issuer that fits kid and ${algorithm.name}`, kid ?? 'no kid')
  const found = keys.find(kid, algorithm)
  return isPromiseLike(found) ? found.then(tryAll) : tryAll(found)

  function tryAll(candidates: readonly IssuerKey[] | Refusal): MaybePromise<IssuerKey | Refusal> {
    if (isRefusal(candidates)) return candidates
    observer?.begin('signature', 'made by that key')
    const signer = firstSigner(candidates, signed, isSignedBy)
    return isPromiseLike(signer)
      ? signer.then((key) => key ?? tryOthers(candidates))
      : (signer ?? tryOthers(candidates))
  }

  /**
   * The issuer may have a new key under a known kid, or under none (RFC 7517 section 4.5 only says SHOULD).
   */
  async function tryOthers(tried: readonly IssuerKey[]): Promise<IssuerKey | Refusal> {
    const others = await keys.findOthers(kid, algorithm, tried)
    return (
      (await firstSigner(others, signed, isSignedBy)) ?? signatureInvalid(kid, tried.length + others.length)
    )
  }
}

/** Tries one key after the other: there is nearly always only one. */
function firstSigner(
  candidates: readonly IssuerKey[],
  signed: SignedInput,
  isSignedBy: SignatureCheck,
  first = 0,
): MaybePromise<IssuerKey | undefined> {
  for (const [at, candidate] of candidates.entries()) {
    const { key } = candidate
    if (at < first || key === undefined) continue
    const isSigner = isSignedBy(key, signed.algorithm, signed.input, signed.signature)
    if (isPromiseLike(isSigner)) {
      return isSigner.then((answer) =>
        answer ? candidate : firstSigner(candidates, signed, isSignedBy, at + 1),
      )
    }
    if (isSigner) return candidate
  }
  return undefined
}

function signatureInvalid(kid: string | undefined, tried: number): Refusal {
  const reason =
    tried === 1
      ? 'the key that fits has not made the signature'
      : `none of the ${tried} keys that fit has made the signature`
  const named = kid === undefined ? {} : ({ claim: 'kid', found: describe(kid), unverified: true } as const)
  return new Refusal('signature_invalid', { reason, ...named })
}

/** A request whose verdict is another under the new policy. */
export interface Change {
  /** `weaker`: it was denied, and is let through now. */
  readonly effect: 'weaker' | 'stricter'
  readonly request: string
  /** The credentials of the request, in words. */
  readonly by: string
  readonly before: Verdict
  readonly after: Verdict
}

/** The decision for a request, and the key that made it. */
export interface Verdict {
  /** `allow`, `public`, `anonymous`, `observe`, or the code of a denial. */
  readonly verdict: string
  /** The key of `routes` that decides; undefined: none. */
  readonly key: string | undefined
}

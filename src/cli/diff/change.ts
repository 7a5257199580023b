/** A request whose verdict is another under the new policy. */
export interface Change {
  /** `weaker`: it was denied, and is let through now. */
  readonly effect: 'weaker' | 'stricter'
  readonly request: string
  /** What the request comes with. */
  readonly by: string
  readonly before: Verdict
  readonly after: Verdict
}

/** What comes of a request, and by which key. */
export interface Verdict {
  /** `allow`, `public`, `anonymous`, `observe`, or the code of a denial. */
  readonly verdict: string
  /** The key of `routes` that decides; undefined: none. */
  readonly key: string | undefined
}

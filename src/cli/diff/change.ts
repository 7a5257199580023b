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
  /** The key of `routes`, or of the policy, that decides; undefined: none. */
  readonly key: string | undefined
}

/** A request that only one of two policies lets through, by a part of the policy that no example shows. */
export interface Difference {
  readonly isWeaker: boolean
  readonly request: string
  readonly by: string
  /** The key, before and after. */
  readonly keys: readonly [string | undefined, string | undefined]
  /** The verdict of the stricter policy: the code of a denial. */
  readonly denied: string
  /** That of the weaker one. Default: `allow`. */
  readonly allowed?: string
}

export function toChange({ isWeaker, request, by, keys, denied, allowed = 'allow' }: Difference): Change {
  const [was, is] = isWeaker ? [denied, allowed] : [allowed, denied]
  return {
    effect: isWeaker ? 'weaker' : 'stricter',
    request,
    by,
    before: { verdict: was, key: keys[0] },
    after: { verdict: is, key: keys[1] },
  }
}

/** The values that only one of two policies accepts, as changes. */
export function compareSets(
  was: Iterable<string>,
  is: Iterable<string>,
  describe: (item: string) => Omit<Difference, 'isWeaker'>,
): Change[] {
  const [before, after] = [new Set(was), new Set(is)]
  return [
    ...[...after]
      .filter((item) => !before.has(item))
      .map((item) => toChange({ isWeaker: true, ...describe(item) })),
    ...[...before]
      .filter((item) => !after.has(item))
      .map((item) => toChange({ isWeaker: false, ...describe(item) })),
  ]
}

/** A number of which more is weaker. */
export function compareNumbers(
  was: number,
  is: number,
  describe: (more: number) => Omit<Difference, 'isWeaker'>,
): Change[] {
  return was === is ? [] : [toChange({ isWeaker: is > was, ...describe(Math.max(was, is)) })]
}

import { describe, expect, it } from 'vitest'
import { memoryReplayStore } from '../../../../src/stores/memory/replay.js'
import { digest, proofKey } from '../../../support/redis/keys.js'

/** A store with a clock of its own; `present` does what the verifier does with a proof that ends at `end`. */
function setup(maxEntries?: number) {
  const clock = { seconds: 1_000_000 }
  const now = () => clock.seconds * 1000
  const store = memoryReplayStore(maxEntries === undefined ? { now } : { maxEntries, now })
  const present = (agent: string, jti: string | number, end: number) =>
    store.remember(proofKey(agent, jti), end - clock.seconds)
  return { clock, store, present, start: clock.seconds }
}

describe('memoryReplayStore', () => {
  it('accepts a key once, for as long as its ttl', () => {
    const { clock, store } = setup()
    expect(store.remember('k', 65)).toBe(true)
    clock.seconds += 64.9
    expect(store.remember('k', 65)).toBe(false)
    clock.seconds += 0.2
    expect(store.remember('k', 65)).toBe(true)
    expect(store.remember('k', 65)).toBe(false)
  })

  it('runs on the wall clock when none is given', () => {
    const store = memoryReplayStore()
    expect(store.remember(proofKey('a', 1), 65)).toBe(true)
    expect(store.remember(proofKey('a', 1), 65)).toBe(false)
    expect(store.size).toBe(1)
  })

  it('lets exactly one of a hundred identical proofs of one tick pass', async () => {
    const { store } = setup()
    const answers = await Promise.all(Array.from({ length: 100 }, async () => store.remember('k', 65)))
    expect(answers.filter(Boolean)).toHaveLength(1)
  })

  it('keeps agents apart: the same jti of another key is another proof', () => {
    const { present, start } = setup()
    expect(present('a', 'j', start + 65)).toBe(true)
    expect(present('b', 'j', start + 65)).toBe(true)
    expect(present('b', 'j', start + 65)).toBe(false)
  })

  it('distinguishes keys of any form', () => {
    const keys = [
      '',
      '.',
      'a',
      'a.b',
      'ab.',
      '.ab',
      'a.b.c',
      'ä',
      'ä'.repeat(500),
      'a'.repeat(500),
      '\u0000',
      '\u0100',
    ]
    for (const digits of ['1', '2']) {
      keys.push(digest(digits), `${digest('a')}.${digest(digits)}`, `${digest('a')}${digits}.${digest('b')}`)
      keys.push(
        digits.padStart(43, 'A'),
        digits.padEnd(43, 'A'),
        `${'x'.repeat(43)}.${digits.padStart(43, 'A')}`,
      )
      keys.push(`${'x'.repeat(43)}.${digits.padEnd(43, 'A')}`, `${digits.padEnd(43, 'A')}.${'x'.repeat(43)}`)
    }
    const { store } = setup()
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys.filter((key) => !store.remember(key, 65))).toEqual([])
    expect(keys.filter((key) => store.remember(key, 65))).toEqual([])
  })

  it.each([
    Number.NaN,
    0,
    -0,
    -1,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e300,
    31 * 86_400 + 1,
    undefined,
  ])('refuses a ttl of %s, and keeps nothing of it', (ttl) => {
    const { store } = setup()
    expect(store.remember('k', ttl as number)).toBe(false)
    expect(store.size).toBe(0)
    expect(store.refused).toBe(1)
    expect(store.remember('k', 65)).toBe(true)
  })

  it('refuses while its clock is no number', () => {
    const store = memoryReplayStore({ now: () => Number.NaN })
    expect(store.remember('k', 65)).toBe(false)
    expect(store.size).toBe(0)
  })

  it.each([0, -1, 1.5, Number.NaN, 2 ** 31, '10'])('throws for maxEntries %s', (maxEntries) => {
    expect(() => memoryReplayStore({ maxEntries: maxEntries as number })).toThrow(TypeError)
  })

  it('throws for a key that is no string, rather than take it for new', () => {
    expect(() => setup().store.remember(undefined as unknown as string, 65)).toThrow(TypeError)
  })
})

describe('memoryReplayStore, full', () => {
  it('refuses every proof that it had to forget, and takes later ones', () => {
    const { clock, store, present, start } = setup(100)
    for (let jti = 0; jti < 1000; jti++) {
      clock.seconds = start + jti
      expect(present('a', jti, clock.seconds + 1000)).toBe(true)
    }
    expect(store.size).toBe(100)
    expect(store.evicted).toBe(900)
    for (let jti = 0; jti < 1000; jti++) expect(present('a', jti, start + jti + 1000)).toBe(false)
    expect(present('a', 'next', clock.seconds + 1001)).toBe(true)
  })

  it('refuses what could be a forgotten proof even where it is another one', () => {
    const { present, start } = setup(2)
    expect(present('a', 1, start + 60)).toBe(true)
    expect(present('a', 2, start + 62)).toBe(true)
    expect(present('a', 3, start + 64)).toBe(true)
    expect(present('a', 4, start + 60)).toBe(false)
    expect(present('a', 5, start + 61)).toBe(false)
    expect(present('a', 6, start + 65)).toBe(true)
  })

  it('keeps what it has where the newcomer would be forgotten first', () => {
    const { store, present, start } = setup(2)
    expect(present('a', 1, start + 60)).toBe(true)
    expect(present('a', 2, start + 60)).toBe(true)
    expect(present('a', 3, start + 60)).toBe(false)
    expect(store.evicted).toBe(0)
    expect(present('a', 1, start + 60)).toBe(false)
  })

  it("does not let one agent's flood touch what others hold", () => {
    const { store, present, start } = setup(100)
    for (let jti = 0; jti < 40; jti++) expect(present('quiet', jti, start + 60)).toBe(true)
    for (let jti = 0; jti < 10_000; jti++) present('loud', jti, start + 60 + jti / 1000)
    expect(store.size).toBe(100)
    // Nothing of the quiet agent was forgotten: a proof as old as its oldest still passes.
    expect(present('quiet', 'late', start + 60)).toBe(true)
    expect(present('loud', 'late', start + 60)).toBe(false)
    for (let jti = 0; jti < 40; jti++) expect(present('quiet', jti, start + 60)).toBe(false)
  })

  it('takes from who holds the most until all who ask have an equal share', () => {
    const { store, present, start } = setup(90)
    for (let jti = 0; jti < 90; jti++) expect(present('first', jti, start + 100 + 2 * jti)).toBe(true)
    for (const agent of ['second', 'third']) {
      for (let jti = 0; jti < 30; jti++) expect(present(agent, jti, start + 100)).toBe(true)
    }
    expect(store.size).toBe(90)
    expect(store.evicted).toBe(60)
    // The sixty that are gone were the first agent's oldest.
    expect(present('first', 'new', start + 100 + 2 * 59 + 1)).toBe(false)
    for (const agent of ['second', 'third']) {
      for (let jti = 0; jti < 30; jti++) expect(present(agent, jti, start + 100)).toBe(false)
    }
  })

  it('stays bounded, and refuses replays, with more agents than entries', () => {
    const { clock, store, present, start } = setup(50)
    for (let agent = 0; agent < 5000; agent++) {
      clock.seconds = start + agent / 10
      expect(present(`agent ${agent}`, 'j', clock.seconds + 65)).toBe(true)
    }
    expect(store.size).toBe(50)
    for (let agent = 0; agent < 5000; agent++) {
      const end = start + agent / 10 + 65
      if (end > clock.seconds) expect(present(`agent ${agent}`, 'j', end)).toBe(false)
    }
    expect(store.size).toBeLessThanOrEqual(50)
    expect(present('newcomer', 'j', clock.seconds + 67)).toBe(true)
  })

  it('remembers the floor of an agent that it had to forget altogether', () => {
    const { present, store, start } = setup(2)
    expect(present('a', 1, start + 60)).toBe(true)
    for (let jti = 0; jti < 4; jti++) expect(present(`other ${jti}`, jti, start + 62 + 2 * jti)).toBe(true)
    expect(store.agents).toBe(2)
    expect(present('a', 2, start + 80)).toBe(true)
    expect(present('a', 1, start + 60)).toBe(false)
  })

  it('evicts the entries that expire first, in any order of arrival', () => {
    const { present, store, start } = setup(2)
    expect(present('a', 1, start + 70)).toBe(true)
    expect(present('a', 2, start + 60)).toBe(true)
    expect(present('a', 3, start + 72)).toBe(true)
    expect(present('a', 1, start + 70)).toBe(false)
    expect(store.refused).toBe(0)
    expect(present('a', 2, start + 60)).toBe(false)
    expect(store.refused).toBe(1)
  })

  it('works with room for a single entry', () => {
    const { present, start } = setup(1)
    expect(present('a', 1, start + 60)).toBe(true)
    expect(present('b', 1, start + 62)).toBe(true)
    expect(present('a', 1, start + 60)).toBe(false)
    expect(present('b', 1, start + 62)).toBe(false)
    expect(present('b', 2, start + 64)).toBe(true)
    expect(present('b', 1, start + 62)).toBe(false)
  })
})

describe('memoryReplayStore, over time', () => {
  it('frees what has expired a few entries per call, with no sweep over all', () => {
    const { clock, store, present, start } = setup()
    for (let jti = 0; jti < 10_000; jti++) present(`agent ${jti % 100}`, jti, start + 65)
    clock.seconds += 100
    let before = store.size
    for (let jti = 0; jti < 5000; jti++) {
      expect(present('a', `later ${jti}`, start + 165)).toBe(true)
      expect(before - store.size).toBeLessThanOrEqual(8)
      before = store.size
    }
    expect(store.size).toBe(5000)
    expect(store.agents).toBe(1)
  })

  it('does not grow while as much expires as comes', () => {
    const { clock, store, present } = setup()
    let most = 0
    for (let jti = 0; jti < 20_000; jti++) {
      clock.seconds += 0.01
      expect(present('a', jti, clock.seconds + 10)).toBe(true)
      most = Math.max(most, store.size)
    }
    // 1,000 live ones, and what the hand has not come to yet.
    expect(most).toBeLessThan(1250)
  })

  it('refuses replays after the clock was set back, over entries that had expired and gone', () => {
    const { clock, store, present, start } = setup()
    for (let jti = 0; jti < 100; jti++) expect(present('a', jti, start + 65)).toBe(true)
    clock.seconds = start + 70
    for (let jti = 0; jti < 100; jti++) present('b', jti, start + 135)
    expect(store.size).toBe(100)
    clock.seconds = start + 10
    for (let jti = 0; jti < 50; jti++) expect(present('a', jti, start + 65)).toBe(false)
    // A proof that was made after the step is later than what was forgotten, and does not bring it back.
    expect(present('a', 'fresh', clock.seconds + 65)).toBe(true)
    for (let jti = 50; jti < 100; jti++) expect(present('a', jti, start + 65)).toBe(false)
  })

  it('refuses replays while the clock has jumped ahead and comes back', () => {
    const { clock, present, start } = setup()
    expect(present('a', 1, start + 65)).toBe(true)
    clock.seconds = start + 3600
    expect(present('b', 1, start + 3665)).toBe(true)
    clock.seconds = start + 1
    expect(present('a', 1, start + 65)).toBe(false)
    expect(present('a', 2, start + 66)).toBe(true)
  })

  it('refuses a replay in the last moment of a proof, though the clock passes its end before the store reads it', () => {
    const { clock, store, present, start } = setup()
    expect(present('a', 1, start + 65)).toBe(true)
    clock.seconds = start + 65.05
    expect(store.remember(proofKey('a', 1), 0.001)).toBe(false)
  })
})

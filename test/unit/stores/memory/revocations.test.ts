import { describe, expect, it } from 'vitest'
import { memoryRevocations } from '../../../../src/stores/memory/revocations.js'

const TOKEN = 'token:https://as.example.com t1'
const AGENT = 'agent:https://as.example.com worker'

function setup() {
  const clock = { seconds: 1_000_000 }
  return { clock, list: memoryRevocations({ now: () => clock.seconds * 1000 }) }
}

describe('memoryRevocations', () => {
  it('knows an id as revoked until the time given, among any others', () => {
    const { clock, list } = setup()
    list.revoke(AGENT, clock.seconds + 300)
    expect(list.isRevoked([TOKEN])).toBe(false)
    expect(list.isRevoked([TOKEN, AGENT])).toBe(true)
    clock.seconds += 299
    expect(list.isRevoked([TOKEN, AGENT])).toBe(true)
    clock.seconds += 2
    expect(list.isRevoked([TOKEN, AGENT])).toBe(false)
  })

  it('runs on the wall clock when none is given', () => {
    const list = memoryRevocations()
    list.revoke(AGENT, Date.now() / 1000 + 60)
    list.revoke(TOKEN, Date.now() / 1000 - 60)
    expect(list.isRevoked([AGENT])).toBe(true)
    expect(list.isRevoked([TOKEN])).toBe(false)
  })

  it('reports revoked and extended entries to its listeners, and no others', () => {
    const { clock, list } = setup()
    const heard: string[] = []
    const listener = (id: string) => heard.push(id)
    const ends = [list.onRevoked(listener), list.onRevoked(listener)]
    list.revoke(TOKEN, clock.seconds + 100)
    ends[0]?.()
    list.revoke(TOKEN, clock.seconds + 100)
    list.revoke(TOKEN, clock.seconds + 50)
    list.unrevoke(TOKEN)
    list.revoke(AGENT, clock.seconds + 100)
    list.revoke(AGENT, clock.seconds + 200)
    ends[1]?.()
    list.revoke(TOKEN, clock.seconds + 300)
    expect(heard).toEqual([TOKEN, TOKEN, AGENT, AGENT])
  })

  it('lists what is revoked now, and takes it back', () => {
    const { clock, list } = setup()
    list.revoke(TOKEN, clock.seconds + 100)
    list.revoke(AGENT, clock.seconds + 300)
    expect(list.list()).toEqual([
      { id: TOKEN, until: clock.seconds + 100 },
      { id: AGENT, until: clock.seconds + 300 },
    ])
    list.unrevoke(AGENT)
    expect(list.isRevoked([AGENT])).toBe(false)
    expect(list.isRevoked([TOKEN])).toBe(true)
    // A shorter time than before: the earlier one is over.
    list.revoke(AGENT, clock.seconds + 50)
    clock.seconds += 60
    expect(list.isRevoked([AGENT])).toBe(false)
    expect(list.list().map(({ id }) => id)).toEqual([TOKEN])
    clock.seconds += 60
    expect(list.list()).toEqual([])
    list.unrevoke(AGENT)
    expect(() => list.unrevoke('worker')).toThrow(TypeError)
  })

  it('lengthens a revocation, and never shortens it', () => {
    const { clock, list } = setup()
    list.revoke(AGENT, clock.seconds + 300)
    list.revoke(AGENT, clock.seconds + 100)
    clock.seconds += 200
    expect(list.isRevoked([AGENT])).toBe(true)
    list.revoke(AGENT, clock.seconds + 300)
    clock.seconds += 200
    expect(list.isRevoked([AGENT])).toBe(true)
    expect(list.size).toBe(1)
  })

  it('forgets what has expired, a few entries per call', () => {
    const { clock, list } = setup()
    for (let id = 0; id < 100; id++) list.revoke(`agent:https://as.example.com ${id}`, clock.seconds + 10)
    list.revoke(TOKEN, clock.seconds + 1000)
    clock.seconds += 11
    let before = list.size
    for (let call = 0; call < 60; call++) {
      expect(list.isRevoked([TOKEN])).toBe(true)
      expect(before - list.size).toBeLessThanOrEqual(4)
      before = list.size
    }
    expect(list.size).toBe(1)
  })

  it.each([
    '',
    't1',
    'token:',
    'token:t1',
    'jti:https://as.example.com t1',
    `${TOKEN}\n`,
    7,
    undefined,
    [TOKEN],
  ])('throws for the id %j, which would revoke nothing', (id) => {
    const { clock, list } = setup()
    expect(() => list.revoke(id as string, clock.seconds + 60)).toThrow(TypeError)
  })

  it.each([Date.now(), Number.NaN, Number.POSITIVE_INFINITY, 0, -1, '1700000000', new Date(), undefined])(
    'throws for the time %s, which is not in seconds since the epoch',
    (until) => {
      expect(() => setup().list.revoke(AGENT, until as number)).toThrow(TypeError)
    },
  )
})

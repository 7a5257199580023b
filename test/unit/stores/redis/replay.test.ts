import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { redisReplayStore } from '../../../../src/stores/redis/index.js'
import { fakeClient, INFO } from '../../../support/redis/fake-client.js'
import { digest } from '../../../support/redis/keys.js'
import { outcome } from '../../../support/redis/outcome.js'

describe('redisReplayStore, what a reply means', () => {
  it.each([
    ['OK', true],
    [null, false],
    [Buffer.from('OK'), true],
    [new TextEncoder().encode('OK'), true],
    [Object('OK'), true],
  ])('takes %j for %s', async (reply, expected) => {
    expect(await redisReplayStore(fakeClient(async () => reply).client).remember('k', 60)).toBe(expected)
  })

  it.each([
    ['ok'],
    ['QUEUED'],
    [''],
    [1],
    [0],
    [true],
    [false],
    [undefined],
    [[]],
    [['OK']],
    [{}],
    [Buffer.from('ok')],
  ])('rejects for %j', async (reply) => {
    const store = redisReplayStore(fakeClient(async () => reply).client)
    await expect(store.remember('k', 60)).rejects.toThrow('unexpected reply')
  })

  it.each(['MOVED 1 127.0.0.1:7001', 'OOM command not allowed', 'READONLY You can not write', 'LOADING'])(
    'rejects for the error %s',
    async (message) => {
      const store = redisReplayStore(fakeClient(() => Promise.reject(new Error(message))).client)
      await expect(store.remember('k', 60)).rejects.toThrow(message)
    },
  )

  it('sends one SET, with the prefix, and a PX no shorter than the ttl', async () => {
    const { client, calls } = fakeClient(async () => 'OK')
    await redisReplayStore(client, { prefix: 'p:', timeout: 0.25 }).remember('k', 64.0001)
    expect(calls).toEqual([['SET', `p:${digest('k').slice(0, 22)}`, '1', 'NX', 'PX', '64251']])
  })

  it.each([Number.NaN, 0, -1, Number.POSITIVE_INFINITY, 1e300])(
    'refuses a ttl of %s without asking',
    async (ttl) => {
      const { client, calls } = fakeClient(async () => 'OK')
      expect(await redisReplayStore(client).remember('k', ttl)).toBe(false)
      expect(calls).toEqual([])
    },
  )

  it('asks again which server it is, five seconds after a client has lost the question', async () => {
    vi.useFakeTimers()
    try {
      let questions = 0
      const info = () => (questions++ === 0 ? new Promise<string>(() => {}) : Promise.resolve(INFO))
      const store = redisReplayStore(fakeClient(async () => 'OK', info).client)
      const early = outcome(store, 'k')
      await vi.advanceTimersByTimeAsync(300)
      expect(await early).toBe('rejected')
      await vi.advanceTimersByTimeAsync(5000)
      expect(await outcome(store, 'k')).toBe(true)
      expect(questions).toBe(2)
    } finally {
      vi.useRealTimers()
    }
  })

  it('rejects at the deadline, and a reply that comes later changes nothing', async () => {
    const store = redisReplayStore(fakeClient(() => pause(1500, 'OK')).client, { timeout: 0.05 })
    const began = performance.now()
    await expect(store.remember('k', 60)).rejects.toThrow('no answer from Redis within 0.05 s')
    expect(performance.now() - began).toBeLessThan(1400)
    const failing = redisReplayStore(
      fakeClient(() => pause(100).then(() => Promise.reject(new Error('late')))).client,
      {
        timeout: 0.02,
      },
    )
    await expect(failing.remember('k', 60)).rejects.toThrow('no answer')
    await pause(200)
  })

  it.each(['close', 'reconnecting', 'end'])(
    'trusts no reply to what was sent before the event %s',
    async (event) => {
      for (const reply of ['OK', null]) {
        const { client, emit } = fakeClient(() => pause(50, reply))
        const store = redisReplayStore(client)
        await store.ready()
        const asked = store.remember('k', 60)
        await Promise.resolve()
        emit(event)
        await expect(asked).rejects.toThrow('the connection changed')
        expect(await store.remember('k', 60)).toBe(reply === 'OK')
      }
    },
  )

  /** Thirteen calls of one turn: the first four are sent alone, the others are the batch. */
  async function present13(fake: ReturnType<typeof fakeClient>, meanwhile = () => {}) {
    const store = redisReplayStore(fake.client)
    await store.ready()
    const answers = Array.from({ length: 13 }, (_, jti) => outcome(store, `k${jti}`))
    await Promise.resolve()
    meanwhile()
    return Promise.all(answers)
  }
  const rejected = (count: number) => Array.from({ length: count }, () => 'rejected')

  it('reads each reply of a batch for itself, and rejects for those that are not clear', async () => {
    const replies = ['OK', null, 1, 'QUEUED', undefined, false, Buffer.from('OK'), ['OK'], new Error('OOM')]
    const fake = fakeClient(async () => (fake.calls.length <= 4 ? 'OK' : replies))
    const answers = await present13(fake)
    expect(answers.slice(0, 4)).toEqual([true, true, true, true])
    expect(answers.slice(4)).toEqual([true, false, ...rejected(4), true, ...rejected(2)])
    expect(fake.calls.map(([command]) => command)).toEqual(['SET', 'SET', 'SET', 'SET', 'EVALSHA'])
    expect(fake.calls[4]?.[2]).toBe('9')
  })

  it.each([
    ['OK'],
    [null],
    [9],
    [[]],
    [Array.from({ length: 8 }, () => 'OK')],
    [Array.from({ length: 10 }, () => 'OK')],
    [{ length: 9 }],
  ])('rejects a batch whose reply is %j', async (reply) => {
    const fake = fakeClient(async () => (fake.calls.length <= 4 ? 'OK' : reply))
    expect(await present13(fake)).toEqual([true, true, true, true, ...rejected(9)])
  })

  it('rejects all calls of a batch that fails', async () => {
    const fake = fakeClient(async () => {
      if (fake.calls.length <= 4) return 'OK'
      throw new Error('OOM command not allowed')
    })
    expect(await present13(fake)).toEqual([true, true, true, true, ...rejected(9)])
  })

  it('trusts no reply to a batch where the connection was lost meanwhile', async () => {
    const fake = fakeClient(() =>
      fake.calls.length <= 4
        ? Promise.resolve('OK')
        : pause(
            50,
            Array.from({ length: 9 }, () => 'OK'),
          ),
    )
    expect(await present13(fake, () => setTimeout(fake.emit, 20, 'close'))).toEqual([
      true,
      true,
      true,
      true,
      ...rejected(9),
    ])
  })

  it('does not send a batch where the connection was lost in the same turn', async () => {
    const fake = fakeClient(async () => 'OK')
    expect(await present13(fake, () => fake.emit('close'))).toEqual(rejected(13))
    expect(fake.calls.map(([name]) => name)).toEqual(['SET', 'SET', 'SET', 'SET'])
  })

  it.each(['READONLY You can not write', 'ERR Error running script: @user_script:1: -READONLY You can not'])(
    'trusts no reply on a connection that has said %s',
    async (message) => {
      const fake = fakeClient(async () => {
        if (fake.calls.length > 1) return pause(40, 'OK')
        await pause(20)
        throw new Error(message)
      })
      const store = redisReplayStore(fake.client)
      await store.ready()
      const answers = [store.remember('k0', 60), store.remember('k1', 60)]
      await expect(answers[0]).rejects.toThrow('READONLY')
      await expect(answers[1]).rejects.toThrow('the connection changed')
    },
  )

  it('asks again who the server is where the connection was lost before the answer', async () => {
    let asked = 0
    const info = async () => {
      asked += 1
      if (asked === 1) emit('close')
      return INFO
    }
    const { client, emit } = fakeClient(async () => 'OK', info)
    expect(await redisReplayStore(client).remember('k', 60)).toBe(true)
    expect(asked).toBe(2)
  })

  it('sends no more than ten thousand commands that nobody answers', async () => {
    const { client, calls } = fakeClient(() => new Promise(() => {}))
    const store = redisReplayStore(client, { timeout: 2 })
    await store.ready()
    const asked = Array.from({ length: 10_000 }, (_, jti) => outcome(store, `k${jti}`))
    await expect(store.remember('one more', 60)).rejects.toThrow('10000 calls are pending')
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['rejected']))
    expect(calls.flat().filter((text) => text.startsWith('ajwt:r:'))).toHaveLength(10_000)
  })

  it('lets no more than ten thousand calls wait for a server that does not say who it is', async () => {
    const { client, calls } = fakeClient(
      async () => 'OK',
      () => new Promise(() => {}),
    )
    const store = redisReplayStore(client, { timeout: 2 })
    const asked = Array.from({ length: 10_000 }, (_, jti) => outcome(store, `k${jti}`))
    await expect(store.remember('one more', 60)).rejects.toThrow('10000 calls are pending')
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['rejected']))
    expect(calls).toEqual([])
  })

  it.each([0, -1, Number.NaN, 61, Number.POSITIVE_INFINITY])('throws for a timeout of %s', (timeout) => {
    expect(() => redisReplayStore(fakeClient(async () => 'OK').client, { timeout })).toThrow(TypeError)
  })
})

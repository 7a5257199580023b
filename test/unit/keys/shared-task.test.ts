import { describe, expect, test, vi } from 'vitest'
import { createSharedTask } from '../../../src/keys/shared-task.js'
import { createStopwatches } from '../../../src/keys/stopwatch.js'

const startStopwatch = createStopwatches(Date.now)

/** Work whose runs a test ends by hand: a run that never ends is one whose request was cancelled. */
function manualWork() {
  const ends: ((value: string) => void)[] = []
  const work = () => new Promise<string>((resolve) => ends.push(resolve))
  return { work, ends }
}

/** A clock that a test sets, in milliseconds. */
function manualClock() {
  const clock = { time: 0, startStopwatch: () => stopwatchFrom(clock.time) }
  const stopwatchFrom = (start: number) => () => clock.time - start
  return clock
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe.each([
  ['a process', false],
  ['isolated requests', true],
])('a shared task, in %s', (_name, isIsolated) => {
  test('runs once for all who wait, and again later', async () => {
    const { work, ends } = manualWork()
    const task = createSharedTask(work, 10_000, startStopwatch, isIsolated)
    expect(task.isRunning()).toBe(false)
    const waiting = [task.run(), task.run(), task.run()]
    await pause(20)
    expect([task.isRunning(), ends.length]).toEqual([true, 1])
    ends[0]?.('one')
    expect(await Promise.all(waiting)).toEqual(['one', 'one', 'one'])
    expect(task.isRunning()).toBe(false)
    const next = task.run()
    await pause(0)
    ends[1]?.('two')
    expect(await next).toBe('two')
  })
})

describe('a shared task in isolated requests', () => {
  test('is started again by one of those who wait, where its request was cancelled', async () => {
    const { work, ends } = manualWork()
    const clock = manualClock()
    const task = createSharedTask(work, 4000, clock.startStopwatch, true)
    void task.run()
    const waiting = [task.run(), task.run(), task.run()]
    clock.time = 999
    await pause(50)
    expect(ends.length).toBe(1)
    // A quarter of the time that a run may take.
    clock.time = 1000
    await vi.waitFor(() => expect(ends.length).toBe(2), { timeout: 5000 })
    await pause(50)
    expect(ends.length).toBe(2)
    ends[1]?.('second')
    expect(await Promise.all(waiting)).toEqual(['second', 'second', 'second'])
    // The result of the first belongs to its request.
    ends[0]?.('first')
    expect(task.isRunning()).toBe(false)
  })

  test('counts as running for as long as it can take, and no longer', () => {
    const { work, ends } = manualWork()
    const clock = manualClock()
    const task = createSharedTask(work, 4000, clock.startStopwatch, true)
    void task.run()
    clock.time = 4000
    expect(task.isRunning()).toBe(true)
    clock.time = 4001
    expect(task.isRunning()).toBe(false)
    void task.run()
    expect(ends.length).toBe(2)
  })

  test('is no background work: it ends with its request', () => {
    const { work } = manualWork()
    expect(createSharedTask(work, 60, startStopwatch, true).outlivesRequests).toBe(false)
    expect(createSharedTask(work, 60, startStopwatch, false).outlivesRequests).toBe(true)
  })
})

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { failure, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:refund' }

/** Workflow, step and completed steps of the token requests, in order. */
function said(requests: { params: Record<string, string> }[]) {
  return requests.map(({ params }) => [params.workflow_id, params.workflow_step, params.completed_steps])
}

describe('a step', () => {
  it('marks every request inside it, and counts for the later ones', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    const run = planner.startWorkflow('refund', { hash: 'h'.repeat(43) })
    await run.fetch(orders, { intent })
    await run.step('intake', () => planner.fetch(orders, { intent }))
    await run.step('review', async (step) => {
      expect([step.id, step.completedSteps]).toEqual(['review', ['intake']])
      await sleep(1)
      await Promise.all([run.fetch(orders, { intent }), step.fetch(`${orders}/log`, { intent })])
    })
    const result = await run.step('issue', async () => {
      await helper()
      return 42
    })
    async function helper() {
      await sleep(1)
      await planner.fetch(orders, { intent })
    }
    await planner.fetch(orders, { intent })
    // Outside a step: of the workflow, but of no place in it.
    await run.fetch(orders, { intent: { scope: 'other' } })

    expect(result).toBe(42)
    expect(run.completedSteps).toEqual(['intake', 'review', 'issue'])
    expect(said(issuer.requests)).toEqual([
      ['refund', undefined, undefined],
      ['refund', 'intake', undefined],
      // Two requests, one intent, one token.
      ['refund', 'review', 'intake'],
      ['refund', 'issue', 'intake review'],
      [undefined, undefined, undefined],
      ['refund', undefined, undefined],
    ])
    const hash = 'h'.repeat(43)
    expect(issuer.requests.map(({ params }) => params.intent_hash)).toEqual([
      hash,
      hash,
      hash,
      hash,
      undefined,
      hash,
    ])
    expect(api.accepted).toHaveLength(7)
  })

  it('that throws is not completed, and can be done again', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    const run = planner.startWorkflow('refund')
    const boom = new Error('boom')
    await expect(run.step('intake', async () => Promise.reject(boom))).rejects.toBe(boom)
    await expect(
      run.step('intake', () => {
        throw boom
      }),
    ).rejects.toBe(boom)
    expect([run.completedSteps, run.failedSteps]).toEqual([[], ['intake']])
    await run.step('intake', () => {})
    expect([run.completedSteps, run.failedSteps]).toEqual([['intake'], []])
    await run.step('review', () => planner.fetch(orders, { intent }))
    expect(said(issuer.requests)).toEqual([['refund', 'review', 'intake']])
  })

  it('cannot be done twice in one run, nor twice at once', async () => {
    const { client } = await startServers()
    const run = client().startWorkflow('refund')
    const first = run.step('intake', () => sleep(10))
    await failure(
      run.step('intake', () => {}),
      TypeError,
    )
    await first
    await failure(
      run.step('intake', () => {}),
      TypeError,
    )
    expect(run.completedSteps).toEqual(['intake'])
  })

  it('says nothing once it has ended: work that was not awaited must not go on in its name', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    const run = planner.startWorkflow('refund')
    const late: Promise<unknown>[] = []
    await run.step('intake', (step) => {
      late.push(
        sleep(10).then(() => planner.fetch(orders, { intent })),
        sleep(10).then(() => run.fetch(orders, { intent })),
        sleep(10).then(() => step.fetch(orders, { intent })),
        sleep(10).then(() =>
          planner.delegate({ id: 'w', jkt: 'w'.repeat(43) }, { scope: '', audience: 'x' }),
        ),
      )
      for (const work of late) work.catch(() => {})
    })
    for (const work of late)
      expect((await failure(work, TypeError)).message).toMatch(/^step "intake" has ended:/)
    expect(issuer.requests).toEqual([])
  })

  it('is not contradicted by a request inside it', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    const run = planner.startWorkflow('refund', { hash: 'h'.repeat(43), completedSteps: ['intake'] })
    await run.step('review', async () => {
      const lies = [
        { step: 'issue' },
        { workflow: 'payout' },
        { hash: 'x'.repeat(43) },
        { completedSteps: ['intake', 'review'] },
      ]
      for (const lie of lies)
        await failure(planner.fetch(orders, { intent: { ...intent, ...lie } }), TypeError)
      const truth = { workflow: 'refund', step: 'review', hash: 'h'.repeat(43), completedSteps: ['intake'] }
      await planner.fetch(orders, { intent: { ...intent, ...truth } })
    })
    expect(said(issuer.requests)).toEqual([['refund', 'review', 'intake']])
  })

  it('needs a usable id', async () => {
    const { client } = await startServers()
    const planner = client()
    for (const id of ['', 'a b', 'a|b', 'ä']) {
      await failure(
        planner.startWorkflow('refund').step(id, () => {}),
        TypeError,
      )
      expect(() => planner.startWorkflow('refund', { completedSteps: [id] })).toThrow(TypeError)
    }
    for (const id of ['', 'ä', '\n']) expect(() => planner.startWorkflow(id)).toThrow(TypeError)
    expect(() => planner.startWorkflow('refund', { hash: 'x' })).toThrow(TypeError)
  })
})

describe('runs beside each other', () => {
  it('keep their own steps, across awaits', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    const oneRun = async (n: number) => {
      const run = planner.startWorkflow(`w${n}`)
      for (const step of ['a', 'b', 'c']) {
        await run.step(`${step}${n}`, async () => {
          await sleep((n * 7) % 5)
          await planner.fetch(orders, { intent })
        })
      }
    }
    await Promise.all(Array.from({ length: 12 }, (_, n) => oneRun(n)))
    for (let n = 0; n < 12; n++) {
      expect(said(issuer.requests.filter(({ params }) => params.workflow_id === `w${n}`))).toEqual([
        [`w${n}`, `a${n}`, undefined],
        [`w${n}`, `b${n}`, `a${n}`],
        [`w${n}`, `c${n}`, `a${n} b${n}`],
      ])
    }
  })

  it('and steps that do so see what had completed when they began', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    const run = planner.startWorkflow('refund')
    await run.step('intake', () => {})
    await Promise.all([
      run.step('fast', () => {}),
      run.step('slow', async () => {
        await sleep(10)
        await planner.fetch(orders, { intent })
      }),
    ])
    expect(run.completedSteps).toEqual(['intake', 'fast', 'slow'])
    expect(said(issuer.requests)).toEqual([['refund', 'slow', 'intake']])
  })

  it('of other agents in the same process are not seen', async () => {
    const { issuer, client, orders } = await startServers()
    const [planner, worker] = [client('planner'), client('worker')]
    const outer = planner.startWorkflow('refund')
    const inner = worker.startWorkflow('payout')
    await outer.step('review', async () => {
      await worker.fetch(orders, { intent })
      await inner.step('pay', async () => {
        await worker.fetch(orders, { intent })
        await planner.fetch(orders, { intent })
        await outer.fetch(orders, { intent: { scope: 'other' } })
      })
    })
    expect(
      issuer.requests.map(({ params }) => [params.agent_id, params.workflow_id, params.workflow_step]),
    ).toEqual([
      ['worker', undefined, undefined],
      ['worker', 'payout', 'pay'],
      ['planner', 'refund', 'review'],
      ['planner', 'refund', 'review'],
    ])
  })

  it('inside each other: a step speaks for its own run', async () => {
    const { issuer, client, orders } = await startServers()
    const planner = client()
    const [outer, inner] = [planner.startWorkflow('outer'), planner.startWorkflow('inner')]
    await outer.step('a', async () => {
      await inner.step('b', async () => {
        await planner.fetch(orders, { intent })
        await outer.fetch(orders, { intent })
      })
      await planner.fetch(orders, { intent: { scope: 'other' } })
    })
    expect(said(issuer.requests)).toEqual([
      ['inner', 'b', undefined],
      ['outer', 'a', undefined],
      ['outer', 'a', undefined],
    ])
  })
})

describe('without AsyncLocalStorage', () => {
  it('the argument of a step carries it', async () => {
    vi.resetModules()
    const restore = process.getBuiltinModule
    Object.assign(process, { getBuiltinModule: undefined })
    try {
      const bare = await import('../../../../src/agent/index.js')
      const { issuer, orders } = await startServers()
      const planner = bare.createAgentClient({
        agent: bare.defineAgent({ id: 'planner', prompt: 'x', tools: [] }),
        tokenEndpoint: issuer.tokenEndpoint,
        clientAuth: { method: 'none', clientId: 'app' },
      })
      const run = planner.startWorkflow('refund')
      await run.step('intake', (step) => step.fetch(orders, { intent }))
      await run.step('review', async (step) => {
        await sleep(1)
        await step.fetch(orders, { intent })
        await planner.fetch(orders, { intent })
      })
      expect(said(issuer.requests)).toEqual([
        ['refund', 'intake', undefined],
        ['refund', 'review', 'intake'],
        [undefined, undefined, undefined],
      ])
    } finally {
      Object.assign(process, { getBuiltinModule: restore })
      vi.resetModules()
    }
  })
})

import { afterAll, beforeAll, describe, test } from 'vitest'
import { groups } from '../../fixtures/conformance/index.js'
import { isInstalled, needs } from '../support/installed.js'
import { type RemoteTable, startRemoteTable } from '../support/runtimes/conformance.js'

describe.runIf(isInstalled('runtimes'))(`the table on workerd, Bun and Deno${needs('runtimes')}`, () => {
  let table: RemoteTable
  beforeAll(async () => {
    table = await startRemoteTable(['workerd', 'bun', 'deno'])
  }, 60_000)
  afterAll(() => table.close())

  describe.each(Object.entries(groups))('%s', (_name, rows) => {
    beforeAll(() => table.load(rows))

    for (const row of rows) test(`${row.id} ${row.title}`, () => table.run(row))
  })
})

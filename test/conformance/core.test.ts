import { describe, expect, test } from 'vitest'
import { rows } from '../../fixtures/conformance/index.js'
import { stepsOf } from '../../fixtures/conformance/row.js'
import { createKit } from '../../fixtures/kit.js'
import { denials } from '../../src/index.js'
import { headersDistinct, testCore, testManyAtOnce } from '../support/conformance/core.js'

testCore("Node's headersDistinct", headersDistinct)
testManyAtOnce()

describe('the table', () => {
  test('has each id once', () => {
    const ids = rows.map((row) => row.id)
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
  })

  test('has a row for every code', () => {
    const kit = createKit()
    const seen = new Set<string>()
    for (const row of rows) {
      for (const { expect: expected } of stepsOf(row, kit)) if ('code' in expected) seen.add(expected.code)
    }
    // Only rules of handlers check the content of a request: test/unit/middleware and test/unit/mcp have
    // those.
    expect(Object.keys(denials).filter((code) => !seen.has(code))).toEqual([
      'message_malformed',
      'argument_not_allowed',
      'tool_not_declared',
      'session_not_yours',
    ])
  })
})

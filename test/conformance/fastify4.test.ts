import { testColumn } from '../support/conformance/column.js'

/**
 * Where an older Fastify may differ from its successor, which has the whole table. An app takes Fastify 10 ms
 * to make.
 */
const ofTheFramework = ['http credentials', 'routing', 'errors and logs']

testColumn('fastify4', (group, index) => ofTheFramework.includes(group) || index % 8 === 0)

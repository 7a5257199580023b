import { testColumn } from '../support/conformance/column.js'

testColumn('fastify')

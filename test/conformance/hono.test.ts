import { testColumn } from './column.js'

testColumn('hono')

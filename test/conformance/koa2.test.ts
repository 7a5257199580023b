import { testColumn } from './column.js'

testColumn('koa2')

import { testColumn } from './column.js'

testColumn('express4')

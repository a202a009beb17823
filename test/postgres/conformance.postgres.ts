/** Runs the conformance suite over Postgres. */
import { describeStore } from '../../src/testing/suites.ts'
import { freshPostgresStore } from '../kit/postgres-stores.ts'

describeStore('postgres', freshPostgresStore)

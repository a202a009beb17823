/** One server for a whole run, whose address the tests get in `TOLLWAY_TEST_POSTGRES`. */
import { startPostgres } from '../kit/postgres.ts'

export default async function setup(): Promise<() => Promise<void>> {
  const server = await startPostgres()
  process.env['TOLLWAY_TEST_POSTGRES'] = server.address()
  return () => server.remove()
}

/**
 * Credentials of a service (systemd's `LoadCredential=` and `LoadCredentialEncrypted=`): files that only the service can read, in a
 * directory that `$CREDENTIALS_DIRECTORY` names. Unlike variables they are in no `/proc/<pid>/environ` and in no child's environment.
 */
import { isAbsolute, join } from 'node:path'

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/

/** Whether a text can be the name of a credential: no path, and nothing that begins with a dot. */
export function isCredentialName(name: string): boolean {
  return name.length <= 255 && NAME.test(name)
}

/** A credential's file, or why there is none, to be put behind "needs" or "The key". */
export function credentialPath(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): { readonly path: string } | { readonly fault: string } {
  const directory = env['CREDENTIALS_DIRECTORY'] ?? ''
  if (directory === '') {
    return {
      fault: `the credential ${name}, but this process was given none: CREDENTIALS_DIRECTORY is not set. Add LoadCredential=${name}:/path/of/the/file to the service's unit, or start it with systemd-run -p LoadCredential=….`,
    }
  }
  if (!isAbsolute(directory)) {
    return { fault: `the credential ${name}, but CREDENTIALS_DIRECTORY is not an absolute path.` }
  }
  return { path: join(directory, name) }
}

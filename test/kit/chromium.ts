import { existsSync } from 'node:fs'

/** Where Debian and others put Chromium. @throws naming the command that installs it */
export function findChromium(): string {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (candidate) => existsSync(candidate),
  )
  if (path === undefined) throw new Error('Chromium is not installed. Run: npm run setup:test')
  return path
}

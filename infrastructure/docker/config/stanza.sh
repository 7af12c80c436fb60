#!/bin/sh
# First start of PostgreSQL, after the roles: the repository learns of this database, so that its log is archived from then on.
set -eu
PGBACKREST_REPO1_CIPHER_PASS=$(cat /run/secrets/backup_passphrase)
export PGBACKREST_REPO1_CIPHER_PASS
pgbackrest --stanza=hub --log-level-console=warn stanza-create

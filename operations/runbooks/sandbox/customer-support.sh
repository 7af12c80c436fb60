# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A tenant whose people need help: one was locked by a playbook for trying every page, an office was shut out for a program with an
# outdated password, one has forgotten the password. A mail server that takes every mail, and writes down for whom.
umask 022
MAIL_LOG=$PWD/mail.log
: >"$MAIL_LOG"
cat >mail.pl <<'PERL'
use strict; use warnings; use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 8) or die $!;
open my $port, '>', 'mail.port.new' or die $!; print $port $server->sockport; close $port; rename 'mail.port.new', 'mail.port';
while (1) {
  my $client = $server->accept or next;
  next if fork;
  open my $log, '>>', 'mail.log' or die $!; $log->autoflush(1); $client->autoflush(1);
  my $text = 0;
  print $client "220 here\r\n";
  while (my $line = <$client>) {
    if ($text) { next unless $line =~ /^\.\r?$/; $text = 0; print $log "taken\n"; print $client "250 ok\r\n"; next }
    print $log $line if $line =~ /^(MAIL|RCPT)/i;
    if ($line =~ /^DATA/i) { $text = 1; print $client "354 go on\r\n" }
    elsif ($line =~ /^EHLO/i) { print $client "250-here\r\n250 8BITMIME\r\n" }
    elsif ($line =~ /^QUIT/i) { print $client "221 bye\r\n"; last }
    else { print $client "250 ok\r\n" }
  }
  exit;
}
PERL
setsid perl mail.pl </dev/null >mail.out 2>&1 &
for _ in {1..200}; do [ -s mail.port ] && break; sleep 0.05; done
export HUB_RESPOND_EMAIL_HOST=127.0.0.1 HUB_RESPOND_EMAIL_TLS=none HUB_RESPOND_EMAIL_FROM=hub@hub.example
HUB_RESPOND_EMAIL_PORT=$(cat mail.port)
export HUB_RESPOND_EMAIL_PORT HUB_RESPOND_EMAIL_TO=on-call@hub.example
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"

TENANT=acme
TOKEN=$PWD/support.key
OUT=$PWD/answer
ADDRESS=127.66.0.9
acme() { hubctl --token-file owner.token "$@"; }
for name in eve mia; do
  acme user create --username $name --email $name@acme.example --password-file owner-password.txt --role member
done
support=(self access.evaluate users.read users.lock sessions.read sessions.revoke incidents.read incidents.respond blocks.read
  holds.read ledger.read)
acme key create support "${support[@]/#/--scope=}" --save "$TOKEN"
LEDGER_KEY=$(printf 'Authorization: Bearer %s' "$(cat "$TOKEN")" | curl -fsS -H @- "$HUB_URL/api/v2/ledger/key" | jq -r .key)

hubctl login --tenant acme --username eve --password-file owner-password.txt --save eve.token
for page in users roles sessions api-keys incidents findings blocks; do
  printf 'Authorization: Bearer %s' "$(cat eve.token)" | curl -sS -o /dev/null -H @- "$HUB_URL/api/v2/$page"
done
for _ in {1..16}; do
  jq -n '{tenant: "acme", username: "mia", password: "the one of last year"}' |
    curl -sS -o /dev/null --interface "$ADDRESS" --json @- "$HUB_URL/api/v2/login"
done
contained() { acme --json incident list | jq '[.items[] | select(.contained_at != null)] | length'; }
for _ in {1..600}; do [ "$(contained)" = 2 ] && break; sleep 0.05; done
USERNAME=eve
FORGOTTEN=mia
EMAIL=mia@acme.example

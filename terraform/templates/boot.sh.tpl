#!/bin/bash
# Makes this machine a Nomad ${role}. Written by Terraform, run by cloud-init at the first boot as
# root, and safe to run again at any time: what is as it should be is left alone, and the agent is
# restarted only if something changed. No secret stands here; they are read from Parameter Store
# with this machine's own role.
set -Eeuo pipefail
umask 077

export AWS_DEFAULT_REGION="${aws_region}" AWS_PAGER=""
readonly RELEASE="${release}" ARCH="${architecture}" SHA256="${sha256}"
readonly RELEASES_URL="${releases_url}" SECRETS_PATH="${secrets_path}"

CHANGED=no
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
trap 'echo "nomad boot: failed in line $LINENO: $BASH_COMMAND" >&2' ERR

# Runs a command until it succeeds: a role, a route or a mirror may come seconds late.
persist() {
  local attempt
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    "$@" && return 0
    echo "nomad boot: attempt $attempt failed: $1" >&2
    sleep "$attempt"
  done
  return 1
}

# place FILE MODE OWNER: takes the file's content from standard input; an equal file is not touched.
place() {
  local file="$1" mode="$2" owner="$3"
  cat > "$WORK/content"
  if ! cmp -s "$WORK/content" "$file"; then
    install -m "$mode" -o "$owner" -g "$owner" "$WORK/content" "$file"
    CHANGED=yes
  fi
  chmod "$mode" "$file"
  chown "$owner:$owner" "$file"
}

# secret NAME: prints a parameter's value.
secret() {
  persist aws ssm get-parameter --with-decryption --name "$SECRETS_PATH/$1" \
    --query Parameter.Value --output text
}

install_nomad() {
  if [ "$(nomad version 2> /dev/null | head -n 1)" = "Nomad v$RELEASE" ]; then
    return 0
  fi
  local zip="nomad_$${RELEASE}_linux_$ARCH.zip" sum="$SHA256"
  persist curl --fail --silent --show-error --location --output "$WORK/$zip" \
    "$RELEASES_URL/nomad/$RELEASE/$zip"
  if [ -z "$sum" ]; then
    persist curl --fail --silent --show-error --location --output "$WORK/sums" \
      "$RELEASES_URL/nomad/$RELEASE/nomad_$${RELEASE}_SHA256SUMS"
    sum="$(awk -v zip="$zip" '$2 == zip { print $1 }' "$WORK/sums")"
  fi
  echo "$sum  $WORK/$zip" | sha256sum --check --status
  python3 -m zipfile -e "$WORK/$zip" "$WORK/unpacked"
  install -m 0755 "$WORK/unpacked/nomad" /usr/local/bin/nomad
  CHANGED=yes
}

export PATH="/usr/local/bin:$PATH"
%{ if role == "server" ~}
readonly OWNER=nomad
id nomad > /dev/null 2>&1 || useradd --system --home-dir /opt/nomad --shell /sbin/nologin nomad
%{ else ~}
# Drivers make namespaces and control groups: a client is root.
readonly OWNER=root
%{ endif ~}

install -d -m 0755 -o root -g root /opt/nomad
install -d -m 0700 -o "$OWNER" -g "$OWNER" /opt/nomad/data
install -d -m 0750 -o root -g "$OWNER" /etc/nomad.d
install -d -m 0750 -o root -g "$OWNER" /etc/nomad.d/tls

install_nomad

%{ for name, file in secrets ~}
secret ${name} > "$WORK/secret"
place ${file} 0600 "$OWNER" < "$WORK/secret"
%{ endfor ~}

place /etc/nomad.d/nomad.hcl 0640 "$OWNER" << 'NOMAD_HCL'
${agent_config}NOMAD_HCL

%{ if role == "server" ~}
GOSSIP="$(secret server/gossip)"
place /etc/nomad.d/gossip.hcl 0600 "$OWNER" << GOSSIP_HCL
server {
  encrypt = "$GOSSIP"
}
GOSSIP_HCL

%{ endif ~}
place /etc/systemd/system/nomad.service 0644 root << UNIT
[Unit]
Description=Nomad ${role}
Documentation=https://developer.hashicorp.com/nomad/docs
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User=$OWNER
Group=$OWNER
ExecStart=/usr/local/bin/nomad agent -config /etc/nomad.d
ExecReload=/bin/kill -HUP \$MAINPID
KillMode=process
KillSignal=SIGINT
Restart=on-failure
RestartSec=2
LimitNOFILE=65536
LimitNPROC=infinity
TasksMax=infinity
OOMScoreAdjust=-1000

[Install]
WantedBy=multi-user.target
UNIT

systemctl daemon-reload
systemctl enable nomad.service
if [ "$CHANGED" = yes ]; then
  systemctl restart nomad.service
else
  systemctl start nomad.service
fi
echo "nomad boot: done"

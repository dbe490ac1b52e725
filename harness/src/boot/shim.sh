#!/bin/sh
# Stands for the programs that would change the machine or talk to somebody: writes down what was asked
# for, and answers as if all went well. Which program is meant says the name by which it is called.
#
# What is "downloaded" is a text that begins with `stand-in for`, and then says what the address ends with:
# under whatever name it lies, what it holds is known. So is every secret.
me=${0##*/}
dir=/rehearse

# note KIND WORDS...: kinds are known to log.rs. 037 parts fields, 036 ends a record.
note() {
  kind=$1
  shift
  record=$(printf '%s\037' "$(cat $dir/run)" "$kind" "$me" "$@" && printf '\036')
  # At once: two of a pipeline write at the same time.
  printf '%s' "$record" >> $dir/log
  pace $kind
}

# pace KIND: a script that asks and waits in a loop gets on slowly, as it would.
pace() {
  case $1 in wait) printf .......... ;; *) printf . ;; esac >> $dir/steps
  [ "$(wc -c < $dir/steps)" -lt 400 ] || PATH=/usr/bin:/bin $(nap) 0.2
}

# nap: where the image's own `sleep` is.
nap() {
  for folder in /usr/bin /bin; do [ ! -x $folder/sleep ] || { echo $folder/sleep && return; }; done
  echo :
}

# real WORDS...: the image's own program of this name.
real() {
  for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    if [ -x "$folder/$me" ] && ! head -c 60 "$folder/$me" 2> /dev/null | grep -q 'Stands for'; then
      exec "$folder/$me" "$@"
    fi
  done
  echo "$me: command not found (it is not in the image that stands for the machine's)" >&2
  exit 127
}

# hear: takes what comes through a pipe, as the program would: who writes where nobody reads is killed.
hear() {
  [ ! -p /dev/stdin ] || cat > /dev/null
}

# keys_piped WORDS...: whether gpg takes its keys from a pipe: it reads some, and no file is named.
keys_piped() {
  case " $* " in *' --dearmor '* | *' --import '* | *' --decrypt '* | *' -d '* | *' --verify '*) ;; *) return 1 ;; esac
  ring=$(after --keyring "$@")
  for word in "$@"; do
    if [ -f "$word" ] && [ "$word" != "$to" ] && [ "$word" != "$ring" ]; then return 1; fi
  done
}

# fake_among WORDS...: whether one of them is a file that was "downloaded"; sets `fake`.
fake_among() {
  for fake in "$@"; do
    if [ -f "$fake" ] && head -c 12 "$fake" 2> /dev/null | grep -q 'stand-in for'; then return 0; fi
  done
  return 1
}

# archive_among WORDS...: whether tar is told which file is its archive.
archive_among() {
  for word in "$@"; do [ ! -f "$word" ] || return 0; done
  return 1
}

# program NAME AT: puts a program that answers as Nomad does.
program() {
  mkdir -p "$2"
  cp $dir/shim "$2/$1"
  chmod 0755 "$2/$1"
}

# last_of URL: what an address ends with, without what is asked of it.
last_of() {
  set -- "${1%%\?*}"
  set -- "${1%/}"
  echo "${1##*/}"
}

# archive FILE: the name under which it was released: where it came from an archive, that one's; else its own.
archive() {
  origin=$(sed -n '1s/^stand-in for //p' "$1")
  case $origin in
    *.zip | *.tgz | *.txz | *.tar | *.tar.*) last_of "$origin" ;;
    *) last_of "$1" ;;
  esac
}

# release FILE: what its archive is a release of: `nomad` of `nomad_1.11.3_linux_amd64.zip` and of `nomad.zip`.
release() {
  archive "$1" | sed -E 's/\.(zip|tgz|txz|tar(\.[a-z0-9]+)?)$//; s/[_-](v?[0-9]|linux).*//'
}

# unpack FILE FOLDER: what the archive of a release holds: a program of the release's name.
unpack() {
  name=$(release "$1")
  version=$(archive "$1" | sed -nE 's/^[a-z-]*[_-]v?([0-9][0-9.]*[0-9](\+ent)?).*/\1/p')
  case $name in
    nomad) [ -z "$version" ] || echo "$version" > $dir/nomad-version ;;
    # AWS's command line, which brings its own installer.
    awscli-exe | awscliv2) program install "$2/aws" && return ;;
  esac
  program "$name" "$2"
}

# package WORD: what a package of Nomad's would bring: the program, its user, a configuration that makes
# the machine a server and a client of its own.
package() {
  case $1 in
    nomad | nomad=* | nomad-[0-9]* | nomad-enterprise*) ;;
    *) return 0 ;;
  esac
  version=$(echo "$1" | sed -n 's/^nomad[a-z-]*[=-]\([0-9][0-9.]*\(+ent\)\{0,1\}\).*/\1/p')
  [ -z "$version" ] || echo "$version" > $dir/nomad-version
  program nomad /usr/bin
  account nomad
  mkdir -p /etc/nomad.d /opt/nomad/data
  [ -e /etc/nomad.d/nomad.hcl ] || cat > /etc/nomad.d/nomad.hcl << 'HCL'
data_dir  = "/opt/nomad/data"
bind_addr = "0.0.0.0"

server {
  enabled          = true
  bootstrap_expect = 1
}

client {
  enabled = true
  servers = ["127.0.0.1"]
}
HCL
  [ -e /etc/nomad.d/nomad.env ] || : > /etc/nomad.d/nomad.env
}

# account NAME: a user and a group; 1 where there is such a one.
account() {
  ! grep -q "^$1:" /etc/passwd || return 1
  id=$(($(wc -l < /etc/passwd) + 900))
  echo "$1:x:$id:$id::/home/$1:/sbin/nologin" >> /etc/passwd
  grep -q "^$1:" /etc/group || echo "$1:x:$id:" >> /etc/group
}

# body URL: what the address would answer.
body() {
  case $1 in
    *169.254.169.254*/api/token*) printf 'stand-in-token' ;;
    *169.254.169.254*/instance-id) printf '%s' "$(cat $dir/instance)" ;;
    *169.254.169.254*/local-ipv4) printf '%s' "$(cat $dir/address)" ;;
    *169.254.169.254*/public-ipv4) printf '198.51.100.1' ;;
    *169.254.169.254*/placement/region) printf '%s' "$(cat $dir/region)" ;;
    *169.254.169.254*/placement/availability-zone) printf '%s' "$(cat $dir/zone)" ;;
    *169.254.169.254*/document)
      printf '{"region":"%s","availabilityZone":"%s","instanceId":"%s","privateIp":"%s"}' \
        "$(cat $dir/region)" "$(cat $dir/zone)" "$(cat $dir/instance)" "$(cat $dir/address)"
      ;;
    *169.254.169.254*hostname) hostname ;;
    *169.254.169.254*) printf 'stand-in for %s' "${1##*/}" ;;
    */v1/status/leader*) printf '"127.0.0.1:4647"' ;;
    *://127.0.0.1* | *://localhost* | *:4646/*) printf '{}' ;;
    *SHA256SUMS)
      name=${1##*/}
      for arch in amd64 arm64; do
        zip=${name%_SHA256SUMS}_linux_$arch.zip
        echo "$(printf 'stand-in for %s\n' "$zip" | sha256sum | cut -d ' ' -f 1)  $zip"
      done
      ;;
    *) printf 'stand-in for %s\n' "$(last_of "$1")" ;;
  esac
}

# get URL FILE: downloads one; to the output where there is no file.
get() {
  case $1 in
    *169.254.169.254*) note machine "$1" ;;
    *://127.0.0.1* | *://localhost*) note agent "$1" ;;
    *) note download "$1" ;;
  esac
  case $2 in
    '' | -) body "$1" ;;
    *) body "$1" > "$2" || return 23 ;;
  esac
}

# fetch WORDS...: curl and wget.
fetch() {
  url='' urls='' to='' code='' folder='' named=no
  [ "$me" = curl ] || named=yes
  while [ $# -gt 0 ]; do
    # Both names have four letters.
    case $me$1 in
      curl-O | curl-[!-]*O | curl--remote-name*) named=yes ;;
      # Its -o is where it logs.
      wget-o | wget--output-file) shift ;;
      wget-*O-) to=- ;;
      curl-o | curl-[!-]*o | wget-O | wget-[!-]*O | ????--output | ????--output-document) to=$2 && shift ;;
      ????--output=* | ????--output-document=*) to=${1#*=} ;;
      curl--output-dir | wget-P | wget--directory-prefix) folder=$2 && shift ;;
      curl-w | curl--write-out) code=$2 && shift ;;
      curl-[HXdmuATteKx] | wget-[UATteP] | ????--header | ????--request | ????--data | ????--max-time | ????--retry | ????--retry-delay | ????--retry-max-time | ????--connect-timeout | ????--user | ????--cacert | ????--cert | ????--key | ????--tries | ????--timeout | ????--data-binary | ????--data-raw | ????--proto | ????--proxy)
        shift
        ;;
      ????-*) ;;
      ????*://*) url=$1 && urls="$urls $1" ;;
      # What belongs to an option that is not known here is no address.
      *) url=${url:-$1} ;;
    esac
    [ $# -eq 0 ] || shift
  done
  if [ -z "$to" ] && [ $named = yes ]; then
    for url in ${urls:-$url}; do
      to=$(last_of "$url")
      [ -z "$folder" ] || { mkdir -p "$folder" && to=$folder/$to; }
      get "$url" "$to" || return
    done
  else
    get "$url" "${folder:+$folder/}$to" || return
  fi
  case $code in *http_code*) printf 200 ;; esac
}

# copied WORDS...: `aws s3 cp`: what comes from a bucket is written; what goes to one stays as it is.
copied() {
  while [ "$1" != cp ]; do shift; done
  shift
  from='' to=''
  while [ $# -gt 0 ]; do
    case $1 in
      --region | --profile | --endpoint-url | --include | --exclude | --sse | --sse-kms-key-id | --acl) shift ;;
      --*) ;;
      *) if [ -z "$from" ]; then from=$1; else to=$1; fi ;;
    esac
    [ $# -eq 0 ] || shift
  done
  case $from in s3://*) ;; *) hear && return ;; esac
  case $to in
    -) body "$from" && return ;;
    s3://*) return ;;
    */) mkdir -p "$to" ;;
  esac
  [ ! -d "$to" ] || to=${to%/}/$(last_of "$from")
  body "$from" > "$to"
}

# metadata WORDS...: `ec2-metadata` (Amazon) and `ec2metadata` (Ubuntu): what the metadata service would say.
metadata() {
  note machine "$@"
  asked='' bare=no
  [ "$me" = ec2-metadata ] || bare=yes
  for word in "$@"; do
    case $word in
      -q | --quiet) bare=yes ;;
      -i) asked="$asked instance-id" ;;
      -o) asked="$asked local-ipv4" ;;
      -v) asked="$asked public-ipv4" ;;
      -h) asked="$asked local-hostname" ;;
      -p) asked="$asked public-hostname" ;;
      -a) asked="$asked ami-id" ;;
      -t) asked="$asked instance-type" ;;
      -z) asked="$asked availability-zone" ;;
      -R) asked="$asked region" ;;
      -s) asked="$asked security-groups" ;;
      --*) asked="$asked ${word#--}" ;;
    esac
  done
  for one in ${asked:-ami-id instance-id instance-type local-hostname local-ipv4 availability-zone region}; do
    case $one in
      availability-zone) path=placement/$one label=placement ;;
      region) path=placement/$one label=$one ;;
      *) path=$one label=$one ;;
    esac
    said=$(body "http://169.254.169.254/latest/meta-data/$path")
    if [ $bare = yes ]; then echo "$said"; else echo "$label: $said"; fi
  done
}

# after FLAG WORDS...: the word behind a flag.
after() {
  flag=$1
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      "$flag") echo "$2" && return 0 ;;
      "$flag"=*) echo "${1#*=}" && return 0 ;;
    esac
    shift
  done
}

aws_cli() {
  note cloud "$@"
  for word in "$@"; do case $word in text) text=yes ;; esac; done
  case "$*" in
    *ssm\ get-parameter*) value="stand-in for $(after --name "$@")" ;;
    *secretsmanager\ get-secret-value*) value="stand-in for $(after --secret-id "$@")" ;;
    *s3\ cp*)
      copied "$@"
      return
      ;;
    *) value='' ;;
  esac
  if [ "${text:-no}" = yes ]; then
    [ -z "$value" ] || echo "$value"
  elif [ -n "$value" ]; then
    printf '{"Parameter":{"Value":"%s"},"SecretString":"%s"}\n' "$value" "$value"
  else
    echo '{}'
  fi
}

case $me in
  sudo | doas)
    while [ $# -gt 0 ]; do
      case $1 in
        -u | -g | -h | -p | -C | --user | --group) shift 2 ;;
        --) shift && break ;;
        -*) shift ;;
        *=*) export "$1" && shift ;;
        *) break ;;
      esac
    done
    [ $# -eq 0 ] || exec "$@"
    ;;
  nohup | setsid)
    while case $1 in -*) true ;; *) false ;; esac do shift; done
    exec "$@"
    ;;
  apt-get | apt | yum | dnf | microdnf | tdnf | zypper | apk | snap | pip | pip3 | apt-key | add-apt-repository | yum-config-manager | amazon-linux-extras)
    note install "$@"
    case "$me $*" in 'apt-key '*' -') hear ;; esac
    case " $* " in *' install '* | *' add '*) for word in "$@"; do package "$word"; done ;; esac
    ;;
  dpkg | rpm)
    case $1 in
      --print-architecture) cat $dir/arch ;;
      -i | --install | -U*) note install "$@" ;;
      *) exit 1 ;;
    esac
    ;;
  systemctl | service | chkconfig | update-rc.d)
    note service "$@"
    for last in "$@"; do :; done
    case "$1" in
      start | restart | enable | reload-or-restart) : > "$dir/services/${last%.service}" ;;
      stop) rm -f "$dir/services/${last%.service}" ;;
      is-active | is-enabled | status)
        [ -e "$dir/services/${last%.service}" ] || { echo inactive && exit 3; }
        echo active
        ;;
    esac
    ;;
  curl | wget) fetch "$@" ;;
  unzip)
    fake_among "$@" || real "$@"
    note unpack "$fake"
    folder=$(after -d "$@")
    case $1 in
      # To its output.
      -p | -c) cat $dir/shim ;;
      # What it holds is only listed, or tested.
      -l | -t | -v | -Z) ;;
      *) unpack "$fake" "${folder:-.}" ;;
    esac
    ;;
  python3 | python)
    if [ "$1 $2 $3" = '-m zipfile -e' ] && fake_among "$4"; then
      note unpack "$4"
      unpack "$4" "$5"
    else
      real "$@"
    fi
    ;;
  tar | bsdtar)
    if [ -p /dev/stdin ] && ! archive_among "$@"; then
      # Through a pipe: whether it is a real one can only be seen once it is here.
      piped=$(mktemp)
      cat > "$piped"
      fake_among "$piped" || real "$@" < "$piped"
      note unpack "$@"
    else
      fake_among "$@" || real "$@"
      note unpack "$fake"
    fi
    folder=$(after -C "$@")
    [ -n "$folder" ] || folder=$(after --directory "$@")
    case " $* " in
      ' x'* | ' '[a-z]x* | *' -x'* | *' -'[a-z]x* | *' --extract '* | *' --get '*) unpack "$fake" "${folder:-.}" ;;
    esac
    ;;
  dpkg-deb)
    fake_among "$@" || real "$@"
    note unpack "$fake"
    ;;
  sha256sum | sha512sum | sha1sum | md5sum | shasum)
    case " $* " in
      *' -c '* | *' --check '*)
        hear
        note verify "$@"
        ;;
      *) real "$@" ;;
    esac
    ;;
  gpg | gpg2)
    to=$(after -o "$@")
    [ -n "$to" ] || to=$(after --output "$@")
    note verify "$@"
    if [ -z "$to" ]; then
      case " $* " in *' --dearmor '*) cat ;; *) ! keys_piped "$@" || hear ;; esac
    else
      # As gpg itself does without a terminal to ask at.
      case " $* " in
        *' --yes '*) ;;
        *) [ ! -e "$to" ] || { echo "gpg: File '$to' exists" >&2 && exit 2; } ;;
      esac
      ! keys_piped "$@" || hear
      echo 'stand-in for a keyring' > "$to"
    fi
    ;;
  useradd | adduser | groupadd | addgroup)
    note account "$@"
    for last in "$@"; do :; done
    if ! account "$last"; then
      echo "$me: '$last' already exists" >&2
      exit 9
    fi
    ;;
  chpasswd)
    note account "$@"
    hear
    ;;
  usermod | gpasswd | passwd | groupmod) note account "$@" ;;
  lsb_release)
    . /etc/os-release 2> /dev/null
    case " $* " in *c*) echo "${VERSION_CODENAME:-stable}" ;; *) echo "${ID:-linux}" ;; esac
    ;;
  sleep) note wait "$@" ;;
  uname)
    case " $* " in
      *' -m '* | *' -p '*) case $(cat $dir/arch) in amd64) echo x86_64 ;; arm64) echo aarch64 ;; *) cat $dir/arch ;; esac ;;
      *) real "$@" ;;
    esac
    ;;
  aws) aws_cli "$@" ;;
  nomad | consul | vault)
    case "$1" in
      version | -version | --version)
        [ "$me" = nomad ] && echo "Nomad v$(cat $dir/nomad-version 2> /dev/null || echo 0.0.0)"
        ;;
      agent) note start "$@" ;;
      *)
        note agent "$@"
        case " $* " in *' - '*) hear ;; esac
        case "$*" in
          *-json*) echo '{}' ;;
          'acl bootstrap'*) echo 'Secret ID = stand-in for a token' ;;
        esac
        ;;
    esac
    ;;
  git) note download "$@" ;;
  ec2-metadata | ec2metadata) metadata "$@" ;;
  jq) real "$@" ;;
  # What was "downloaded" is run by a shell: `stand-in for ADDRESS`.
  stand-in)
    case $2 in
      *docker*) me=$2 && note install docker ;;
      *) note machine "$@" ;;
    esac
    ;;
  *) note machine "$@" ;;
esac

#!/bin/sh
# Runs the parts of the user data as cloud-init does, one after the other, up to the first that fails:
# what cloud-init would still do after it is of no use to an agent.
exec < /dev/null
cd /
run=$(($(cat /rehearse/run) + 1))
echo $run > /rehearse/run
: > /rehearse/trace
: > /rehearse/steps
failed=0

# settle: what was put into the background gets a moment to say what it would do; the container ends with us.
settle() {
  for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    others=no
    for process in /proc/[0-9]*; do
      case $process in /proc/1 | /proc/$$) ;; *) others=yes ;; esac
    done
    [ $others = yes ] || return 0
    PATH=/usr/bin:/bin sleep 0.1
  done
}

for part in /rehearse/parts/*; do
  echo "$part" > /rehearse/part
  code=0
  flags=$(cat "/rehearse/flags/${part##*/}" 2> /dev/null)
  # Like cloud-init's, the environment has no HOME.
  case $part in
    *.bash) env -i PATH="$PATH" LANG=C.UTF-8 BASH_ENV=/rehearse/trace.sh bash $flags "$part" || code=$? ;;
    *.sh) env -i PATH="$PATH" LANG=C.UTF-8 PS4='+rehearse:$LINENO:' sh -x $flags "$part" 2> /rehearse/said || code=$? ;;
    *) env -i PATH="$PATH" LANG=C.UTF-8 "$part" || code=$? ;;
  esac
  case $part in
    *.sh)
      grep '^+*rehearse:' /rehearse/said >> /rehearse/trace
      grep -v '^+*rehearse:' /rehearse/said >&2
      ;;
  esac
  if [ $code != 0 ]; then
    failed=$code
    break
  fi
done
settle
exit $failed

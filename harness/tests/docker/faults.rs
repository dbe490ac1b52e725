//! The levers: what they do to the agents' view of each other, and that nothing of it stays.

use std::time::{Duration, Instant};

use nomad_harness::fault::Fault;
use nomad_harness::nomad::Query;
use nomad_harness::poll::{Look, eventually};
use nomad_harness::spec::AgentName;
use nomad_harness::target::{AgentState, Capability, Line, Target as _};

use super::Stage;

const SOON: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_leader_loses_its_office_and_healing_leaves_no_trace() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().clients(1).start().await.unwrap();
    let target = cluster.target();
    let leader = cluster.leader().await.unwrap();
    let address = format!("{}:4647", leader.info().address);
    let before = target.network_state(leader.name()).await.unwrap();
    assert!(before.contains("route "), "{before}");
    leader.isolate().await.unwrap();
    let during = target.network_state(leader.name()).await.unwrap();
    assert_eq!(
        during
            .lines()
            .filter(|line| line.contains("protocol 82"))
            .count(),
        3,
        "{during}"
    );
    let survivor = cluster
        .servers()
        .find(|s| s.name() != leader.name())
        .unwrap();
    let elected = || async {
        match survivor.api().leader().await {
            Ok(Some(other)) if other != address => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    eventually(SOON, TICK, "another leader", elected)
        .await
        .unwrap();
    // The way from here stays open: the old leader answers, and knows that it leads no more.
    let deposed = || async {
        match leader.api().stale().leader().await {
            Ok(None) => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    eventually(SOON, TICK, "the old leader steps down", deposed)
        .await
        .unwrap();

    leader.heal().await.unwrap();
    let after = target.network_state(leader.name()).await.unwrap();
    assert_eq!(after, before);
    let agreed = || async {
        let (one, other) = (leader.api().stale(), survivor.api().stale());
        match (one.leader().await, other.leader().await) {
            (Ok(Some(one)), Ok(Some(other))) if one == other => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    eventually(SOON, TICK, "one leader for all", agreed)
        .await
        .unwrap();
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_is_silent_and_cuts_both_ways() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(1).start().await.unwrap();
    let (server, client) = (
        cluster.agent("server-1").unwrap(),
        cluster.agent("client-1").unwrap(),
    );
    let peers: Vec<AgentName> = vec![server.name().clone()];
    client.isolate_from(&peers).await.unwrap();
    // A client passes reads on to a server: cut off, it must wait, not fail at once.
    let start = Instant::now();
    let api = client.api().timeout(Duration::from_secs(2));
    let error = api.nodes().await.unwrap_err();
    assert!(
        start.elapsed() > Duration::from_millis(900),
        "the cut was noticed at once: {error}"
    );
    client.heal().await.unwrap();
    let passes = || async {
        match client.api().nodes().await {
            Ok(nodes) => Look::Done(nodes),
            Err(error) => Look::NotYet(error.to_string()),
        }
    };
    let nodes = eventually(SOON, TICK, "the client finds its server again", passes).await;
    assert_eq!(nodes.unwrap().len(), 1);
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_as_bad_as_said_and_heals_without_a_trace() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(0).start().await.unwrap();
    let (target, server) = (cluster.target(), cluster.agent("server-1").unwrap());
    let api = server.api();
    // What cannot be made smaller on its way: 72 kB, more than may pass at once.
    let noise: String = (0..2000)
        .map(|_| uuid::Uuid::new_v4().to_string())
        .collect();
    let job = serde_json::json!({
        "ID": "large", "Name": "large", "Type": "service", "Datacenters": ["dc1"],
        "Meta": { "noise": noise },
        "TaskGroups": [{ "Name": "web", "Count": 1, "Tasks": [{
            "Name": "main", "Driver": "raw_exec", "Config": { "command": "/bin/true" },
        }] }],
    });
    api.register(&job).await.unwrap();
    let read = async || {
        let began = Instant::now();
        let large = api.get_value("job/large", &Query::default()).await.unwrap();
        assert_eq!(large.value["Meta"]["noise"], noise);
        began.elapsed()
    };
    let before = target.network_state(server.name()).await.unwrap();
    let lines = [
        // 72 kB of random digits are 37 kB and more when they are compressed: a second at 256 kbit/s.
        (Capability::Rate, Line::Slow { kbit_per_s: 256 }, "tbf", 700),
        (Capability::Delay, Line::Late { ms: 400 }, "netem", 400),
    ];
    for (capability, line, queue, at_least_ms) in lines {
        if let Some(why) = target.lacks(capability).await {
            assert!(why.contains("has no `netem`"), "{capability:?}: {why}");
            eprintln!("{capability:?} was not tried: {why}");
            continue;
        }
        let quick = read().await;
        target.shape(server.name(), line).await.unwrap();
        let during = target.network_state(server.name()).await.unwrap();
        assert!(
            during.contains(&format!("queue {queue} interface")),
            "{during}"
        );
        let slow = read().await;
        server.heal().await.unwrap();
        let after = target.network_state(server.name()).await.unwrap();
        assert_eq!(after, before);
        let again = read().await;
        eprintln!("{line:?}: {quick:.0?}, then {slow:.0?}, then {again:.0?}");
        let least = Duration::from_millis(at_least_ms);
        assert!(slow >= least && quick < least && again < least);
    }
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn levers_that_do_not_fit_are_refused() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(0).start().await.unwrap();
    let server = cluster.agent("server-1").unwrap();
    let error = server.resume().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot resume `server-1`");
    assert_eq!(
        error.source.to_string(),
        "its container is running, expected paused"
    );
    server.pause().await.unwrap();
    assert_eq!(server.state().await.unwrap(), AgentState::Paused);
    server.pause().await.unwrap_err();
    server.resume().await.unwrap();
    server.stop().await.unwrap();
    server.isolate_from(&[]).await.unwrap_err();
    server.start().await.unwrap();
    let log = server.logs(500).await.unwrap();
    assert!(log.contains("Nomad agent started!"), "{log}");
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_agent_is_killed_all_the_same() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(0).start().await.unwrap();
    let server = cluster.agent("server-1").unwrap();
    server.pause().await.unwrap();
    server.kill().await.unwrap();
    assert!(matches!(
        server.state().await.unwrap(),
        AgentState::Exited { .. }
    ));
    server.start().await.unwrap();
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_little_memory_has_a_limit_above_what_it_holds_and_none_when_healed() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(0).start().await.unwrap();
    let (target, server) = (cluster.target(), cluster.agent("server-1").unwrap());
    if let Some(why) = target.lacks(Capability::Squeeze).await {
        eprintln!("nothing was tried: {why}");
        return;
    }
    assert_eq!(target.limits(server.name()).await.unwrap(), "");
    let little = Fault::LittleMemory;
    little.inject(target, server.name(), &[]).await.unwrap();
    let limits = target.limits(server.name()).await.unwrap();
    let bytes = limits.strip_suffix(" bytes of memory\n").unwrap();
    let mebibytes = bytes.parse::<u64>().unwrap() >> 20;
    assert!((9..200).contains(&mebibytes), "{limits}");

    little.heal(target, server.name()).await.unwrap();
    little.heal(target, server.name()).await.unwrap();
    assert_eq!(target.limits(server.name()).await.unwrap(), "");
    assert_eq!(server.state().await.unwrap(), AgentState::Running);
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_not_taken_for_a_good_one_and_healing_it_costs_its_data_once() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().clients(0).start().await.unwrap();
    let (target, server) = (cluster.target(), cluster.agent("server-3").unwrap());
    let corrupt = Fault::CorruptLog;
    // Nothing was done to it, so nothing is done about it.
    corrupt.heal(target, server.name()).await.unwrap();
    assert_eq!(server.state().await.unwrap(), AgentState::Running);

    corrupt.inject(target, server.name(), &[]).await.unwrap();
    assert!(target.log_is_spoiled(server.name()).await.unwrap());
    let ended = || async {
        match server.state().await {
            Ok(AgentState::Exited { code, .. }) => Look::Done(code),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    let code = eventually(SOON, TICK, "the agent gives up", ended).await;
    assert_ne!(code.unwrap(), 0);
    let log = server.logs(20).await.unwrap();
    assert!(log.contains("/server/raft/raft.redb"), "{log}");

    corrupt.heal(target, server.name()).await.unwrap();
    assert!(!target.log_is_spoiled(server.name()).await.unwrap());
    let knows = || async {
        match server.api().stale().leader().await {
            Ok(Some(leader)) => Look::Done(leader),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    let leader = eventually(SOON, TICK, "it knows a leader again", knows).await;
    assert!(!leader.unwrap().is_empty());
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_more_and_making_room_costs_no_data() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let size = Some("64MiB".parse().unwrap());
    let builder = stage.builder().name("full").clients(0).data_size(size);
    let cluster = builder.start().await.unwrap();
    let target = cluster.target();
    assert_eq!(target.lacks(Capability::Fill).await, None);
    let leader = cluster.leader().await.unwrap();
    let follower = cluster.servers().find(|s| s.name() != leader.name());
    let follower = follower.unwrap();
    assert_eq!(target.limits(follower.name()).await.unwrap(), "");

    let full = Fault::FullDisk;
    full.inject(target, follower.name(), &[]).await.unwrap();
    let filled = target.limits(follower.name()).await.unwrap();
    let bytes = filled.strip_suffix(" bytes fill its disk\n").unwrap();
    assert!((32 << 20..=64 << 20).contains(&bytes.parse::<u64>().unwrap()));
    // The same is said again and again: more than what was written before leaves room for.
    let noise = "x".repeat(100_000);
    let job = serde_json::json!({
        "ID": "large", "Name": "large", "Type": "service", "Datacenters": ["dc1"],
        "Meta": { "noise": noise },
        "TaskGroups": [{ "Name": "web", "Count": 1, "Tasks": [{
            "Name": "main", "Driver": "raw_exec", "Config": { "command": "/bin/true" },
        }] }],
    });
    let ended = || async {
        let registered = leader.api().register(&job).await;
        match (registered, follower.state().await) {
            (Ok(_), Ok(AgentState::Exited { code, .. })) => Look::Done(code),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    let code = eventually(SOON, TICK, "the agent gives up", ended).await;
    assert_ne!(code.unwrap(), 0);
    let log = follower.logs(20).await.unwrap();
    assert!(log.contains("no space left on device"), "{log}");
    // No process of the agent's is left, and its data are all the same.
    assert_eq!(target.limits(follower.name()).await.unwrap(), filled);

    full.heal(target, follower.name()).await.unwrap();
    full.heal(target, follower.name()).await.unwrap();
    assert_eq!(target.limits(follower.name()).await.unwrap(), "");
    let knows = || async {
        match follower.api().stale().job("large").await {
            Ok(_) => Look::Done(()),
            Err(error) => Look::NotYet(error.to_string()),
        }
    };
    eventually(SOON, TICK, "it has caught up", knows)
        .await
        .unwrap();
    cluster.tear_down().await.unwrap();
    stage.assert_nothing_left("full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_no_fixed_size_is_not_filled() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(0).start().await.unwrap();
    let (target, server) = (cluster.target(), cluster.agent("server-1").unwrap());
    assert!(!target.capabilities().contains(&Capability::Fill));
    let error = target.fill(server.name()).await.unwrap_err();
    let said = error.source.to_string();
    assert!(said.contains("not `data fill /opt/nomad/data`"), "{said}");
    cluster.tear_down().await.unwrap();
}

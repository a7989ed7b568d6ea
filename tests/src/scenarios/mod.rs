//! Every scenario, by name. Each stands alone: it makes what it needs and leaves nothing behind.

use crate::lab::Lab;
use anyhow::Result;

mod agent;
mod bad_input;
mod balloon;
mod bios;
mod boot;
mod browser;
mod by_hand;
mod cli;
mod clients;
mod combinations;
mod copies;
mod daemons;
mod debian;
mod disks;
mod encryption;
mod faces;
mod figures;
mod graphics;
mod growth;
mod hotplug;
mod immutable;
mod install;
mod instances;
mod kills;
mod memory;
mod menu;
mod mirror;
mod monitors;
mod netboot;
mod panics;
mod passthrough;
mod pool;
mod power;
mod replay;
mod secure_boot;
mod serial;
mod shares;
mod smart;
mod suspend;
mod sync;
mod tpm;
mod trust;
mod uefi;
mod update;
mod vhost;
mod visitor;
mod vsock;
mod watchdog;
mod zfs;

/// When a scenario is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In every run, beside another.
    Always,
    /// When its name is asked for, or with `BASALT_LONG`, and then when no other runs: it measures.
    Alone,
    /// When its name is asked for, or with `BASALT_LONG`: it takes many minutes where processors are
    /// emulated, and a shorter one shows most of what it does.
    Asked,
}

/// One thing the appliance must do.
pub struct Scenario {
    /// Its name, as a filter sees it.
    pub name: &'static str,
    /// When it is run.
    pub when: When,
    /// What it does.
    pub run: fn(&mut Lab<'_>) -> Result<()>,
}

const fn scenario(name: &'static str, run: fn(&mut Lab<'_>) -> Result<()>) -> Scenario {
    Scenario {
        name,
        when: When::Always,
        run,
    }
}

const fn long(name: &'static str, run: fn(&mut Lab<'_>) -> Result<()>) -> Scenario {
    Scenario {
        name,
        when: When::Asked,
        run,
    }
}

/// All of them; long ones first, so that the last to end is a short one.
pub const ALL: &[Scenario] = &[
    scenario("update_installs_boots_and_commits", update::commits),
    scenario("faulty_updates_fall_back", update::falls_back),
    scenario(
        "every_instant_of_an_update_survives_a_power_cut",
        replay::update,
    ),
    scenario("power_cuts_lose_nothing_acknowledged", power::cuts),
    scenario(
        "bios_boots_an_installed_disk_and_counts_tries",
        bios::installed_disk,
    ),
    long("uefi_boots_a_disk_and_keeps_variables", uefi::boots),
    scenario("uefi_boots_without_a_disk", uefi::bare),
    long(
        "secure_boot_starts_what_is_signed",
        secure_boot::starts_what_is_signed,
    ),
    long("debian_for_clouds_becomes_who_it_is_told", debian::cloud),
    long(
        "debian_installer_asks_its_first_question",
        debian::installer,
    ),
    long("disks_keep_what_is_written", monitors::disks),
    long("guest_moves_to_another_monitor", monitors::moves),
    long(
        "mirror_survives_the_loss_of_either_disk",
        mirror::either_disk,
    ),
    long("pool_holds_guests", pool::holds_guests),
    long("pool_survives_the_loss_of_a_disk", pool::survives_a_disk),
    long("zfs_pools_hold_guests", zfs::hold_guests),
    long(
        "zfs_mirror_survives_the_loss_of_a_disk",
        zfs::survives_a_disk,
    ),
    long("zfs_raidz_does_without_a_disk", zfs::raidz),
    long("mirror_takes_a_new_disk_and_an_update", mirror::new_disk),
    long("updates_as_users_meet_them", visitor::updates),
    scenario("browser_runs_a_vm_and_a_container", browser::guests),
    scenario("security_key_logs_in", browser::security_key),
    long("install_repairs_a_basalt_in_use", faces::existing),
    scenario(
        "install_by_url_survives_a_vanishing_disk",
        faces::vanishing_disk,
    ),
    scenario("daemons_restart_under_running_guests", daemons::restarts),
    long(
        "killed_daemons_lose_nothing_and_leave_guests_alone",
        kills::under_load,
    ),
    scenario("disks_grow_change_and_survive_a_full_host", disks::life),
    long("guests_are_copied_and_go_back", copies::life),
    long("guest_agent_answers_and_shuts_down", agent::life),
    long("packets_are_moved_by_the_kernel", vhost::moves),
    long("directories_are_shared_with_a_guest", shares::exchanges),
    long("sockets_join_a_guest_and_its_host", vsock::connects),
    long("device_of_the_host_is_a_guests_alone", passthrough::passes),
    scenario("failing_disk_is_told_of", smart::told),
    long("tpm_keeps_what_a_guest_stores_and_measures", tpm::keeps),
    long("balloon_gives_memory_and_takes_it_back", balloon::memory),
    long("processors_by_level", balloon::processors),
    long("hotplug_of_disks_and_cards", hotplug::life),
    long("hotplug_of_processors", hotplug::processors),
    long("hotplug_of_memory", growth::life),
    long("memory_is_made_of_huge_pages", memory::huge_pages),
    long(
        "memory_and_processors_are_divided_into_nodes",
        memory::nodes,
    ),
    long("watchdog_acts_for_a_guest_that_forgets", watchdog::acts),
    long("guest_that_panics_is_seen_until_it_is_reset", panics::seen),
    long("serial_ports_are_consoles_of_their_own", serial::talk),
    scenario("reboot_brings_onboot_guests_back", power::onboot),
    scenario(
        "graphical_console_shows_and_types",
        graphics::shows_and_types,
    ),
    long("suspended_guests_go_on_over_a_reboot", suspend::over_reboot),
    scenario("suspended_to_disk_and_back", suspend::to_disk),
    long(
        "encrypted_data_opens_by_tpm_and_by_recovery_key",
        encryption::opens,
    ),
    long(
        "encrypted_data_on_two_disks_opens_from_either",
        encryption::mirrored,
    ),
    long("instances_run_stop_and_go_on", instances::pair),
    scenario("proxmoxer_drives_a_vm_and_a_container", clients::proxmoxer),
    scenario("ansible_makes_what_a_playbook_says", clients::ansible),
    scenario("exporter_scrapes_with_all_collectors", clients::exporter),
    scenario("npm_proxmox_api_drives_guests", clients::proxmox_api),
    scenario("fence_pve_switches_guests", clients::fence_pve),
    long("packer_builds_a_template", clients::packer_of_an_image),
    scenario(
        "packer_builds_a_template_of_a_disc",
        clients::packer_of_a_disc,
    ),
    scenario("secure_boot_starts_only_what_is_signed", trust::chain),
    scenario("flipped_byte_is_refused", immutable::flipped_byte),
    scenario("guests_reach_the_bridge_and_are_contained", boot::guests),
    long(
        "menu_offers_rescue_and_factory_reset",
        menu::rescue_and_reset,
    ),
    long("netboot_installs_by_ipxe", netboot::by_ipxe),
    long("netboot_installs_by_uefi", netboot::by_uefi),
    long(
        "combination_answer_uefi_one_directory",
        combinations::row::<0>,
    ),
    long("combination_answer_secure_two_lvm", combinations::row::<1>),
    long("combination_answer_bios_two_zfs", combinations::row::<2>),
    long("combination_terminal_uefi_two_lvm", combinations::row::<3>),
    long(
        "combination_terminal_secure_one_zfs",
        combinations::row::<4>,
    ),
    long(
        "combination_terminal_bios_two_directory",
        combinations::row::<5>,
    ),
    long("combination_browser_uefi_two_zfs", combinations::row::<6>),
    long(
        "combination_browser_secure_two_directory",
        combinations::row::<7>,
    ),
    long("combination_browser_bios_one_lvm", combinations::row::<8>),
    scenario("install_by_terminal", by_hand::by_terminal),
    scenario("install_by_browser", by_hand::by_browser),
    scenario("install_refuses_a_wrong_answer_file", install::wrong_answer),
    scenario("install_refuses_a_small_disk", install::small_disk),
    scenario("bios_starts_the_installer", bios::medium),
    scenario(
        "every_instant_of_an_installation_survives_a_power_cut",
        replay::installation,
    ),
    scenario(
        "install_refuses_a_machine_without_network",
        install::no_network,
    ),
    scenario(
        "upload_keeps_what_is_whole_and_refuses_what_is_not",
        bad_input::uploads,
    ),
    scenario("bad_guest_parameters_name_their_field", bad_input::guests),
    scenario("cli_manages_guests", cli::manages),
    scenario("cli_has_the_names_that_users_know", cli::other_names),
    scenario("sync_replaces_programs", sync::replaces),
    scenario("read_only_parts_stay_as_shipped", immutable::read_only),
    scenario("root_holds_only_what_a_host_needs", immutable::contents),
    scenario("storage_programs_are_whole", immutable::storage),
    scenario("units_expose_little", trust::exposure),
    scenario("healthy_boot_has_no_failed_unit", boot::healthy),
    Scenario {
        name: "figures",
        when: When::Alone,
        run: figures::measure,
    },
];

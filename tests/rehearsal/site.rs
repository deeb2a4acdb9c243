//! The API behind a socket, and clients of it.

use std::net::Ipv4Addr;

use kube::config::{KubeConfigOptions, Kubeconfig};
use overlay::rehearsal::front::{self, Front};
use overlay::rehearsal::{Options, Rehearsal};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) struct Site {
    pub(crate) api: Rehearsal,
    pub(crate) config: kube::Config,
    serving: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn new(options: &Options) -> Self {
        // Whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let api = Rehearsal::new(options).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let front = Front::new(listener.local_addr().unwrap()).unwrap();
        let text = String::from_utf8(front.kubeconfig("default").to_vec()).unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let serving = tokio::spawn(front::serve(api.clone(), listener, front));
        Self { api, config, serving }
    }

    /// One with connections of its own.
    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::try_from(self.config.clone()).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

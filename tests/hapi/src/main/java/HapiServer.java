import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.test.config.TestR4Config;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.HardcodedServerAddressStrategy;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/**
 * HAPI FHIR's JPA server for R4 on a free port of the loopback interface, with a database in memory.
 *
 * Prints its base URL as one line beginning with "READY " when it can be asked, and ends when its standard input does.
 */
public final class HapiServer {

    public static void main(String[] arguments) throws Exception {
        TestR4Config.ourMaxThreads = 20;
        try (var context = new AnnotationConfigApplicationContext(TestR4Config.class)) {
            permit(context.getBean(JpaStorageSettings.class));
            var fhir = makeServer(context);
            var server = new Server();
            var connector = new ServerConnector(server);
            connector.setHost("127.0.0.1");
            server.addConnector(connector);
            var handler = new ServletContextHandler();
            handler.addServlet(new ServletHolder(fhir), "/r4/*");
            server.setHandler(handler);
            connector.open(); // The port is known before the first request.
            var base = "http://127.0.0.1:" + connector.getLocalPort() + "/r4";
            fhir.setServerAddressStrategy(new HardcodedServerAddressStrategy(base));
            server.start();
            System.out.println("READY " + base);
            System.out.flush();
            while (System.in.read() >= 0) {
                // Whoever started us holds the other end.
            }
            server.stop();
        }
        System.exit(0);
    }

    private static RestfulServer makeServer(AnnotationConfigApplicationContext context) {
        var fhir = new RestfulServer(context.getBean(FhirContext.class));
        fhir.registerProviders(context.getBean("myResourceProvidersR4", ResourceProviderFactory.class).createProviders());
        fhir.registerProvider(context.getBean("mySystemProviderR4", JpaSystemProvider.class));
        fhir.setPagingProvider(context.getBean(DatabaseBackedPagingProvider.class));
        fhir.setDefaultResponseEncoding(EncodingEnum.JSON);
        return fhir;
    }

    /** Let in whatever the proof invents, and never answer a search from an earlier one. */
    private static void permit(JpaStorageSettings settings) {
        settings.setEnforceReferentialIntegrityOnWrite(false);
        settings.setEnforceReferentialIntegrityOnDelete(false);
        settings.setAllowExternalReferences(true);
        settings.setResourceClientIdStrategy(JpaStorageSettings.ClientIdStrategyEnum.ANY);
        settings.setReuseCachedSearchResultsForMillis(null);
    }

    private HapiServer() {}
}
